"""Huginn's weights in our model, against a plain rendering of the published equations."""

import math
from types import SimpleNamespace

import pytest
import torch

from mythos_blocks.checkpoints import from_huginn, huginn_translation
from tests.parity.from_state import TOLERANCE, check_gradients, error, logits_from, randomised
from tests.parity.huginn import CONFIG, Huginn

TOKENS = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(1))
STATE = torch.randn(2, 11, CONFIG["n_embd"], generator=torch.Generator().manual_seed(3))


def pair(seed=0, dtype=torch.float32, gain=1.0, **changes):
    config = {**CONFIG, **changes}
    theirs = randomised(Huginn(config), seed, gain).to(dtype)
    return theirs, from_huginn(theirs.state_dict(), config)


@pytest.mark.parametrize("num_loops", [1, 2, 6, 13])
@pytest.mark.parametrize("dtype, gain", [(torch.float64, 1.0), (torch.float32, 0.5)])
@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_logits_are_equal(seed, dtype, gain, num_loops):
    theirs, mine = pair(seed, dtype, gain)

    wanted = theirs(TOKENS, STATE.to(dtype), num_loops)

    assert wanted.std() > 0.3 * gain
    assert wanted.dtype is dtype
    assert error(logits_from(mine, TOKENS, STATE.to(dtype), num_loops), wanted) <= TOLERANCE[dtype]


@pytest.mark.parametrize("changes", [{"qk_bias": False}, {"tie_embeddings": False}, {"norm_eps": 0.1}])
@torch.no_grad()
def test_logits_are_equal_in_other_configurations(changes):
    theirs, mine = pair(dtype=torch.float64, **changes)
    other, state = randomised(Huginn(CONFIG)).double(), STATE.double()

    wanted = theirs(TOKENS, state, 4)

    assert error(logits_from(mine, TOKENS, state, 4), wanted) <= 1e-11
    assert error(other(TOKENS, state, 4), wanted) > 1e-2, "the change is meant to matter"


@pytest.mark.parametrize("num_loops", [1, 4])
def test_gradients_are_equal(num_loops):
    theirs, mine = pair(dtype=torch.float64)

    check_gradients(theirs, mine, huginn_translation(CONFIG), TOKENS, STATE.double(), num_loops)


@torch.no_grad()
def test_every_weight_is_taken_over_and_none_shared():
    theirs, mine = pair()

    num_parameters = sum(p.numel() for p in mine.parameters())
    assert num_parameters == sum(p.numel() for p in theirs.parameters())
    assert mine.head.weight is mine.embedding.weight
    before = logits_from(mine, TOKENS, STATE, 2)
    for parameter in theirs.parameters():
        parameter.zero_()
    assert torch.equal(logits_from(mine, TOKENS, STATE, 2), before)


@torch.no_grad()
def test_a_pass_starts_from_the_published_distribution_and_equals_the_driven_one():
    theirs, mine = pair(gain=0.5)
    tokens = TOKENS[:1]
    embedded = theirs.transformer.wte(tokens) * math.sqrt(CONFIG["n_embd"])
    start = mine.core.start(mine.prelude(embedded)).h
    draws = torch.cat([mine.train().core.start(embedded.expand(64, -1, -1)).h for _ in range(4)])
    mine.eval()

    out = mine(tokens)

    assert out.num_loops == CONFIG["mean_recurrence"]
    assert error(out.logits, theirs(tokens, start, CONFIG["mean_recurrence"])) <= 1e-5
    # The normal distribution, cut at three of its standard deviations, which are sqrt(2 / 5).
    std = math.sqrt(2 / 5)
    assert draws.abs().max() <= 3 * std + 1e-6
    assert draws.std().item() == pytest.approx(0.98658 * std, rel=0.01)


def test_the_config_may_be_an_object_and_may_name_its_fields_as_hugging_face_does():
    """The published class computes what depends on them from its own names, so those of them are given."""
    std = math.sqrt(2 / (5 * CONFIG["n_embd"]))
    computed = {"num_key_value_heads": CONFIG["n_heads"], "init_values": {"std": std}}
    renamed = {**CONFIG, **computed, "hidden_size": CONFIG["n_embd"], "num_attention_heads": CONFIG["n_heads"]}
    del renamed["n_embd"], renamed["n_heads"]

    for config in (SimpleNamespace(**CONFIG), renamed):
        assert huginn_translation(config).model == huginn_translation(CONFIG).model


def test_the_repositorys_own_minimal_config_is_imported_and_so_is_none():
    """Published: 5280 channels, 55 heads, and rotations of base 50,000, which no file names."""
    minimal = {"model_type": "huginn_raven", "n_embd": 5280, "num_attention_heads": 55, "num_key_value_heads": 55}

    translation = huginn_translation(minimal)

    assert translation.model == huginn_translation({}).model and translation.vocab_size == 65_536
    core = translation.model["core"]
    assert core["layer"]["attention"] == {"kind": "mha", "num_heads": 55, "rope_theta": 50_000.0, "qk_bias": True}
    assert core["loops"]["eval_loops"] == 32 and core["loops"]["mean"] == 33 and core["loops"]["gradient_window"] == 8
    assert core["initial_state"]["std"] == pytest.approx(0.008703882797784892, rel=1e-12)


def test_weights_without_the_tied_head_and_in_bfloat16_load():
    theirs = randomised(Huginn()).to(torch.bfloat16)
    weights = theirs.state_dict()
    del weights["lm_head.weight"]  # as safetensors files leave it out

    mine = from_huginn(weights, CONFIG)

    assert {p.dtype for p in mine.parameters()} == {torch.bfloat16}
    assert mine(TOKENS).logits.isfinite().all()


def test_names_that_do_not_fit_are_refused_with_the_nearest():
    weights = randomised(Huginn()).state_dict()
    fused = "transformer.core_block.1.attn.Wqkv.weight"

    with pytest.raises(ValueError, match=r"'transformer.core_block.1.attn.Wqkv.weight' is missing; nearest:"):
        from_huginn({name: x for name, x in weights.items() if name != fused}, CONFIG)
    with pytest.raises(ValueError, match=r"'transformer.core_block.7.attn.Wqkv.weight' is not expected.*core_block.1"):
        from_huginn({**weights, "transformer.core_block.7.attn.Wqkv.weight": weights[fused]}, CONFIG)
    with pytest.raises(ValueError, match=r"'transformer.core_block.1.attn.Wqkv.weight' has shape \(144, 47\)|becomes"):
        from_huginn({**weights, fused: weights[fused][:, :-1]}, CONFIG)
    with pytest.raises(ValueError, match=r"Wqkv.weight' has shape \(143, 48\), which does not fit the config"):
        from_huginn({**weights, fused: weights[fused][:-1]}, CONFIG)
    with pytest.raises(ValueError, match="are one tensor in the model, and differ here"):
        from_huginn({**weights, "lm_head.weight": weights["lm_head.weight"] + 1}, CONFIG)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"injection_type": "add"}, "injection_type='add'; only 'linear' can be imported"),
        ({"bias": True}, "bias=True; only False"),
        ({"init_values": {"embed_scale": 1.0}}, r"init_values.embed_scale=1.0; only 6.9282 .*sqrt\(n_embd\)"),
        ({"init_values": {"embd_scale": 3.0}}, "init_values.embd_scale=3.0, a field .* nearest: embed_scale"),
        ({"rope_base": None}, "rope_base=None; only finite numbers"),
        ({"rope_bse": 10_000}, "rope_bse=10000, a field that the importer does not know; nearest: rope_base"),
        ({"sampling_scheme": "fixed"}, "sampling_scheme='fixed'; only 'poisson-lognormal-filling'"),
        ({"norm_class_name": "LayerNorm"}, "norm_class_name='LayerNorm'; only 'RMSNorm_llama'"),
        ({"num_attention_heads": 2}, "n_heads=4; only 2 can be imported: num_attention_heads is another name"),
        ({"num_key_value_heads": 2}, "num_key_value_heads=2; only 4"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=False; only True"),
        ({"test_time_noise": 0.1}, "test_time_noise=0.1; only 0"),
        ({"quantization_config": {}}, "quantization_config={}, a field that"),
    ],
)
def test_a_config_that_cannot_be_rendered_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        huginn_translation({**CONFIG, **changes})


@pytest.mark.parametrize("config", [None, 7, "config.json", dict])
def test_what_has_no_fields_is_no_config(config):
    with pytest.raises(ValueError, match="the Huginn config must be a mapping or an object with fields, not "):
        huginn_translation(config)


def test_the_table_names_all_of_theirs_and_of_ours():
    theirs, mine = pair()

    table = huginn_translation(CONFIG).table()

    for name in (*theirs.state_dict(), *mine.state_dict()):
        assert f"`{name}`" in table
    assert "| `freqs_cis` | - | rotations, which are computed |" in table
