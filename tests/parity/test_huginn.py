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
    renamed = {**CONFIG, "hidden_size": CONFIG["n_embd"], "num_attention_heads": CONFIG["n_heads"]}
    del renamed["n_embd"], renamed["n_heads"]

    for config in (SimpleNamespace(**CONFIG), renamed):
        assert huginn_translation(config).model == huginn_translation(CONFIG).model


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
        ({"init_values": {"embed_scale": 3.0}}, "embed_scale=3.0; only 1 or sqrt"),
        ({"rope_base": None}, "no 'rope_base'; nearest:"),
    ],
)
def test_a_config_that_cannot_be_rendered_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        huginn_translation({**CONFIG, **changes})


def test_the_table_names_all_of_theirs_and_of_ours():
    theirs, mine = pair()

    table = huginn_translation(CONFIG).table()

    for name in (*theirs.state_dict(), *mine.state_dict()):
        assert f"`{name}`" in table
    assert "| `freqs_cis` | - | rotations, which are computed |" in table
