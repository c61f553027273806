"""Parcae's weights in our model, against a plain rendering of the published equations."""

import math

import pytest
import torch

from mythos_blocks import Frame
from mythos_blocks.checkpoints import from_parcae, parcae_translation
from tests.parity.from_state import TOLERANCE, check_gradients, error, logits_from, randomised
from tests.parity.parcae import CONFIG, Parcae

TOKENS = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(1))
DIFFERENT_WIDTHS = {
    # A state wider than the model; a core of one layer without value embeddings, whose tables have the model's width.
    "recurrent_embedding_dimension": 64,
    "recurrent_intermediation_embedding_dimension": 96,
    "recurrent_num_attention_heads": 2,
    "n_layers_in_recurrent_block": 1,
    "mean_recurrence": 7,
}


def state_of(config, dtype=torch.float64):
    width = config["recurrent_embedding_dimension"]
    return torch.randn(2, 11, width, generator=torch.Generator().manual_seed(3)).to(dtype)


def pair(seed=0, dtype=torch.float64, gain=1.0, **changes):
    config = {**CONFIG, **changes}
    theirs = randomised(Parcae(config), seed, gain).to(dtype)
    return config, theirs, from_parcae(theirs.state_dict(), config)


@pytest.mark.parametrize("num_loops", [1, 2, 8, 17])
@pytest.mark.parametrize("dtype, gain", [(torch.float64, 1.0), (torch.float32, 0.5)])
@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_logits_are_equal(seed, dtype, gain, num_loops):
    config, theirs, mine = pair(seed, dtype, gain)
    state = state_of(config, dtype)

    wanted = theirs(TOKENS, state, num_loops)

    assert wanted.std() > 0.3 * gain and wanted.dtype is dtype
    assert error(logits_from(mine, TOKENS, state, num_loops), wanted) <= TOLERANCE[dtype]


@pytest.mark.parametrize(
    "changes",
    [
        DIFFERENT_WIDTHS,
        {"injection_type": "linear"},
        {"injection_type": "linear", **DIFFERENT_WIDTHS},
        {"injection_type": "add"},
        {"prelude_norm": False},
        {"qk_norm": False},
        {"qk_bias": True},
        {"mlp_class_name": "GatedMLP", "nonlin_name": "SiLU"},
        {"tie_embeddings": False},
        {"n_layers_in_prelude": 1, "n_layers_in_recurrent_block": 3, "n_layers_in_coda": 3, "mean_backprop_depth": 3},
        {"n_layers_in_recurrent_block": 4, "n_layers_in_coda": 0},
    ],
    ids=lambda changes: " ".join(changes),
)
@torch.no_grad()
def test_logits_are_equal_in_other_configurations(changes):
    config, theirs, mine = pair(**changes)

    wanted = theirs(TOKENS, state_of(config), 4)

    assert error(logits_from(mine, TOKENS, state_of(config), 4), wanted) <= 1e-11


@pytest.mark.parametrize("changes", [{}, DIFFERENT_WIDTHS], ids=["published", "different widths"])
@pytest.mark.parametrize("num_loops", [1, 4])
def test_gradients_are_equal(num_loops, changes):
    config, theirs, mine = pair(**changes)

    check_gradients(theirs, mine, parcae_translation(config), TOKENS, state_of(config), num_loops)


def test_every_weight_is_taken_over():
    _, theirs, mine = pair()

    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert mine.head.weight is mine.embedding.weight


@pytest.mark.parametrize(
    "changes, left",
    [
        # Tables on layers 1, 3, 5. Three gradient layers: gates on even ones, and the coda counts from 2 + 8.
        (
            {"mean_backprop_depth": 3, "n_layers_in_recurrent_block": 1, "n_layers_in_coda": 3},
            ["transformer.prelude.0", "value_embeds.1", "transformer.core_block.0"],
        ),
        # Five layers: tables on 0, 2, 4. Four gradient layers: gates on odd ones, and the coda counts from 2 + 7.
        (
            {"n_layers_in_recurrent_block": 1, "mean_recurrence": 7},
            ["value_embeds.0", "transformer.prelude.1", "value_embeds.2", "transformer.coda.0", "value_embeds.4"],
        ),
        ({}, []),
    ],
)
@torch.no_grad()
def test_gates_and_tables_that_do_not_meet_are_named_and_left_out(changes, left):
    config, theirs, mine = pair(**changes)

    lines = [line for line in parcae_translation(config).table().splitlines() if "no effect" in line]
    named = {line.split("`")[1] for line in lines}

    assert {name.removesuffix(".weight").removesuffix(".attn.ve_gate") for name in named} == set(left)
    weights = dict(theirs.named_parameters())
    unused = sum(weights[name].numel() for name in named)
    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in weights.values()) - unused
    wanted = theirs(TOKENS, state_of(config), 3)
    assert error(logits_from(mine, TOKENS, state_of(config), 3), wanted) <= 1e-11
    for name in named:
        weights[name].normal_()
    assert torch.equal(theirs(TOKENS, state_of(config), 3), wanted)


@torch.no_grad()
def test_a_pass_equals_the_driven_one_and_starts_from_the_published_distribution():
    config, theirs, mine = pair()
    e = mine.prelude(mine.embedding(TOKENS), Frame(tokens=TOKENS))
    start = mine.core.start(e).h
    draws = mine.train().core.start(e.new_zeros(64, 64, config["n_embd"])).h
    mine.eval()

    out = mine(TOKENS)

    assert out.num_loops == config["mean_recurrence"] and mine.core.loops_per == "sequence"
    assert error(out.logits, theirs(TOKENS, start, config["mean_recurrence"])) <= 1e-11
    std = math.sqrt(2 / (5 * config["n_embd"]))
    assert draws.abs().max() <= 3 * std + 1e-6
    assert draws.std().item() == pytest.approx(0.98658 * std, rel=0.01)


def test_loop_counts_are_drawn_as_published():
    """``max(1, Poisson(mu))``, but that the mean of ours is mu, not 8.0003."""
    _, _, mine = pair()
    mu, pmf = CONFIG["mean_recurrence"], mine.core.loops.pmf()

    poisson = [math.exp(-mu) * mu**k / math.factorial(k) for k in range(len(pmf))]
    wanted = torch.tensor([0.0, poisson[0] + poisson[1], *poisson[2:]], dtype=torch.float64)

    torch.testing.assert_close(pmf, wanted, rtol=2e-3, atol=0)
    assert mine.core.loops.window(20) == CONFIG["mean_backprop_depth"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"logit_softcap": 15.0}, "logit_softcap=15.0; only None"),
        ({"clip_qkv": 8.0}, "clip_qkv=8.0; only None"),
        ({"nonlin_name": "GELU"}, "nonlin_name='GELU'; only 'ReLU2'"),
        ({"state_init": "normal"}, "state_init='normal'; only 'like-init' or 'zero'"),
        ({"num_key_value_heads": 2}, "num_key_value_heads=2; only 4"),
        ({"rope_settings": {"rope_condense_ratio": 2}}, "rope_condense_ratio=2; only 1"),
    ],
)
def test_a_config_that_cannot_be_rendered_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        parcae_translation({**CONFIG, **changes})


def test_fields_may_be_left_out_where_the_published_models_agree():
    """The size of the vocabulary is padded as the code does it."""
    assumed = {"state_init", "init_strategy", "block_class_name", "norm_class_name", "mlp_class_name", "nonlin_name"}
    short = {name: value for name, value in CONFIG.items() if name not in {*assumed, "padded_vocab_size"}}

    translation = parcae_translation({**short, "padding_multiple": 8})

    assert translation.model == parcae_translation(CONFIG).model and translation.vocab_size == 64


def test_names_that_do_not_fit_are_refused_with_the_nearest():
    weights = randomised(Parcae()).state_dict()

    with pytest.raises(ValueError, match=r"'value_embeds.0.weight' is not expected of this config; nearest: value_emb"):
        from_parcae({**weights, "value_embeds.0.weight": weights["value_embeds.1.weight"]}, CONFIG)
    with pytest.raises(ValueError, match="'transformer.C.weight' is missing"):
        from_parcae({name: x for name, x in weights.items() if name != "transformer.C.weight"}, CONFIG)
