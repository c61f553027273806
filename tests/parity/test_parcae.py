"""Parcae's weights in our model, against a plain rendering of the published equations."""

import math

import pytest
import torch

from mythos_blocks.checkpoints import from_parcae, parcae_translation
from tests.parity.from_state import check_gradients, error, logits_from, randomised
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


def state_of(config):
    width = config["recurrent_embedding_dimension"]
    return torch.randn(2, 11, width, generator=torch.Generator().manual_seed(3))


def pair(seed=0, **changes):
    config = {**CONFIG, **changes}
    theirs = randomised(Parcae(config), seed)
    return config, theirs, from_parcae(theirs.state_dict(), config)


@pytest.mark.parametrize("num_loops", [1, 2, 8, 17])
@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_logits_are_equal(seed, num_loops):
    config, theirs, mine = pair(seed)

    wanted = theirs(TOKENS, state_of(config), num_loops)

    assert wanted.std() > 0.3
    assert error(logits_from(mine, TOKENS, state_of(config), num_loops), wanted) <= 1e-5


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

    assert error(logits_from(mine, TOKENS, state_of(config), 4), wanted) <= 1e-5


@pytest.mark.parametrize("changes", [{}, DIFFERENT_WIDTHS], ids=["published", "different widths"])
@pytest.mark.parametrize("num_loops", [1, 4])
def test_gradients_are_equal(num_loops, changes):
    config, theirs, mine = pair(**changes)

    check_gradients(theirs, mine, parcae_translation(config), TOKENS, state_of(config), num_loops)


def test_every_weight_is_taken_over():
    _, theirs, mine = pair()

    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert mine.head.weight is mine.embedding.weight


@pytest.mark.parametrize("changes", [{"mean_backprop_depth": 1, "n_layers_in_recurrent_block": 3, "mean_recurrence": 5}])
@torch.no_grad()
def test_gates_and_tables_that_do_not_meet_are_named_and_left_out(changes):
    """Three gradient layers put gates on layers 0, 2, 4; seven layers put tables on layers 0, 2, 4, 6."""
    config, theirs, mine = pair(**changes)
    table = parcae_translation(config).table()
    last = "transformer.coda.1.attn.ve_gate.weight"

    assert error(logits_from(mine, TOKENS, state_of(config), 3), theirs(TOKENS, state_of(config), 3)) <= 1e-5
    left = [line for line in table.splitlines() if "no effect" in line]
    unmatched = sum(x.numel() for name, x in theirs.named_parameters() if any(f"`{name}`" in line for line in left))
    assert sum(p.numel() for p in theirs.parameters()) - unmatched == sum(p.numel() for p in mine.parameters())
    assert bool(left) is (unmatched > 0)
    assert last not in theirs.state_dict() or f"`{last}`" in table


@torch.no_grad()
def test_a_table_without_a_gate_and_a_gate_without_a_table_have_no_effect_there_either():
    changes = {"n_layers_in_recurrent_block": 1, "mean_recurrence": 8}  # tables 1, 3, 5; the coda counts from 10
    config, theirs, mine = pair(**{**DIFFERENT_WIDTHS, **changes})
    notes = {line.split("`")[1]: line for line in parcae_translation(config).table().splitlines() if "`" in line}

    assert "a table without a gate" in notes["value_embeds.3.weight"]
    assert error(logits_from(mine, TOKENS, state_of(config), 3), theirs(TOKENS, state_of(config), 3)) <= 1e-5


@torch.no_grad()
def test_a_pass_equals_the_driven_one_and_starts_from_the_published_distribution():
    config, theirs, mine = pair()
    e = mine.prelude(mine.embedding(TOKENS), frame_of(TOKENS))
    start = mine.core.start(e).h
    draws = mine.train().core.start(e.new_zeros(64, 64, config["n_embd"])).h
    mine.eval()

    out = mine(TOKENS)

    assert out.num_loops == config["mean_recurrence"] and mine.core.loops_per == "sequence"
    assert error(out.logits, theirs(TOKENS, start, config["mean_recurrence"])) <= 1e-5
    std = math.sqrt(2 / (5 * config["n_embd"]))
    assert draws.abs().max() <= 3 * std + 1e-6
    torch.testing.assert_close(draws.std(), torch.tensor(0.98658 * std), rtol=0.01, atol=0)


def frame_of(tokens):
    from mythos_blocks import Frame

    return Frame(tokens=tokens, path=("prelude",))


def test_loop_counts_are_drawn_as_published():
    """``max(1, Poisson(mu))``, probability by probability."""
    _, _, mine = pair()
    mu, pmf = CONFIG["mean_recurrence"], mine.core.loops.pmf()

    poisson = [math.exp(-mu) * mu**k / math.factorial(k) for k in range(len(pmf))]
    wanted = torch.tensor([0.0, poisson[0] + poisson[1], *poisson[2:]], dtype=torch.float64)

    torch.testing.assert_close(pmf, wanted, rtol=1e-6, atol=0)
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


def test_names_that_do_not_fit_are_refused_with_the_nearest():
    weights = randomised(Parcae()).state_dict()

    with pytest.raises(ValueError, match=r"'value_embeds.0.weight' is not expected of this config; nearest: value_emb"):
        from_parcae({**weights, "value_embeds.0.weight": weights["value_embeds.1.weight"]}, CONFIG)
    with pytest.raises(ValueError, match="'transformer.C.weight' is missing"):
        from_parcae({name: x for name, x in weights.items() if name != "transformer.C.weight"}, CONFIG)
