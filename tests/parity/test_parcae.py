"""Parcae's weights in our model, against a plain rendering of the published equations."""

import math

import pytest
import torch

from mythos_blocks import Frame, Slot
from mythos_blocks.checkpoints import from_parcae, parcae_translation
from tests.parity.from_state import TOLERANCE, check_gradients, error, logits_from, randomised
from tests.parity.parcae import CONFIG, Parcae

TOKENS = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(1))
DIFFERENT_WIDTHS = {
    # A state wider than the model; a core of one layer without value embeddings, whose tables have the model's width.
    # Heads are of one size, as one table of rotations serves all.
    "recurrent_embedding_dimension": 60,
    "recurrent_intermediation_embedding_dimension": 96,
    "recurrent_num_attention_heads": 5,
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
        {"mlp_class_name": "GatedMLP", "nonlin_name": "SiLU", "init_orthogonal": False},
        {"nonlin_name": "GELU"},
        {"nonlin_name": "ReLU"},
        {"norm_class_name": "LayerNorm"},
        {"norm_class_name": "LayerNorm", "simple_ops": True},
        {"num_key_value_heads": 2, "n_layers_in_recurrent_block": 1, "mean_recurrence": 7},
        {"rope_settings": {"use_rope": False}, "recurrent_num_attention_heads": 2},
        {"rope_settings": {"rope_base": 100}},
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
    """``max(1, Poisson(mu))``, whose mean is 8.0003."""
    _, _, mine = pair()
    mu, pmf = CONFIG["mean_recurrence"], mine.core.loops.pmf()

    poisson = [math.exp(-mu) * mu**k / math.factorial(k) for k in range(len(pmf))]
    wanted = torch.tensor([0.0, poisson[0] + poisson[1], *poisson[2:]], dtype=torch.float64)

    torch.testing.assert_close(pmf, wanted, rtol=1e-6, atol=0)
    assert mine.core.loops.window(20) == CONFIG["mean_backprop_depth"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"nonlin_name": "Tanh"}, "nonlin_name='Tanh'; only 'ReLU2' or 'GELU' or 'ReLU'"),
        ({"mlp_class_name": "GatedMLP"}, "nonlin_name='ReLU2'; only 'SiLU'"),
        (
            {"mlp_class_name": "GatedMLP", "nonlin_name": "SiLU"},
            "init_orthogonal=True; only False .* one orthogonal mat",
        ),
        (
            {"injection_type": "linear", "init_strategy": "scaled"},
            "init_orthogonal=True; only False with this init_strategy and injection_type",
        ),
        ({"state_init": "nrmal"}, "state_init='nrmal'; only 'like-init' or 'normal' or 'embed'"),
        ({"num_key_value_heads": 2, "qk_bias": True}, "num_key_value_heads=2; only 4 .*: qk_bias has as many heads"),
        ({"rope_settings": {"rope_condense_ratio": 2}}, r"rope_settings.rope_condense_ratio=2; only 1"),
        ({"rope_settings": {"rope_bas": 2}}, r"rope_settings.rope_bas=2, a field .* nearest: rope_base"),
        ({"rope_settings": None}, "the Parcae config's rope_settings must be a mapping"),
        ({"recurrent_num_attention_heads": 2}, "one table of rotations serves heads of 12 channels and.* of 24"),
        (
            {"recurrent_iteration_method": "per-token"},
            "'per-token'; only 'per-batch' or 'per-sequence' .*tokens that w",
        ),
        ({"recurrent_iteration_method": "per-batch"}, "'per-batch'; only 'per-sequence'.* its code runs the n iterat"),
        ({"sampling_scheme": "poisson-fill"}, "sampling_scheme='poisson-fill'; only 'poisson-truncated-full' or"),
        ({"sampling_scheme": "poisson-truncated-full-curriculum-100"}, "no such distribution of counts"),
        ({"mean_backprop_depth": 9}, "mean_recurrence=8; only counts of at least mean_backprop_depth=9"),
        ({"randomize_positions_from": 64}, "randomize_positions_from=64; only None"),
        ({"mean_recurence": 8}, "mean_recurence=8, a field that .* does not know; nearest: mean_recurrence"),
        ({"n_embd": "48"}, "n_embd='48'; only whole numbers of at least 1"),
        ({"n_embd": True}, "n_embd=True; only whole numbers"),
        ({"norm_eps": float("nan")}, "norm_eps=nan; only finite numbers"),
        ({"prelude_norm": "yes"}, "prelude_norm='yes'; only False or True"),
    ],
)
def test_a_config_that_cannot_be_rendered_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        parcae_translation({**CONFIG, **changes})


@pytest.mark.parametrize("strategy", ["scaled", "scaled-zero", "scaled-geiping"])
@pytest.mark.parametrize("orthogonal", [True, False])
def test_initial_matrices_are_orthogonal_where_the_config_says_so(strategy, orthogonal):
    translation = parcae_translation({**CONFIG, "init_strategy": strategy, "init_orthogonal": orthogonal})
    model = Slot("model").resolve(translation.model).build(translation.vocab_size)

    for matrix in (model.prelude.layers[0].attention.q.weight, model.core.interface.projection.weight):
        sizes = torch.linalg.svdvals(matrix.detach())
        assert bool(sizes.max() < 1.001 * sizes.min()) is orthogonal
    assert bool(model.core.layers[0].attention.out.weight.any()) is (strategy != "scaled-zero")


@pytest.mark.parametrize(
    "kind, std",
    [("normal", 1.0), ("embed", 48**-0.5), ("unit", 1.0), ("zero", 0.0), ("like-init", 0.98658 * 120**-0.5)],
)
def test_the_state_starts_as_the_config_says(kind, std):
    _, _, mine = pair(state_init=kind)

    state = mine.train().core.initial_state(torch.zeros(100, 40, 48))

    assert float(state.std()) == pytest.approx(std, rel=0.02)
    assert float(state.std(-1).std()) == pytest.approx(0 if kind in ("unit", "zero") else std * 96**-0.5, abs=0.1 * std)
    assert float(state.abs().max()) > 3.5 * std or kind in ("zero", "like-init")


def test_a_field_that_is_left_out_has_the_default_of_the_published_class():
    declared = parcae_translation({"recurrent_iteration_method": "per-sequence", "recurrent_embedding_dimension": 4096})

    assert declared.vocab_size == 50_688
    assert declared.model["norm"] == {"kind": "layer", "eps": 1e-5}
    assert declared.model["prelude"]["layer"]["feedforward"] == {"kind": "gelu", "bias": False, "hidden": 16_384}
    assert declared.model["core"]["layer"]["feedforward"]["hidden"] == 3520
    assert declared.model["initialization"] == {"kind": "depth_scaled", "orthogonal": False}
    with pytest.raises(ValueError, match=r"'per-batch' \(its default\); only 'per-sequence'"):
        parcae_translation({"recurrent_embedding_dimension": 4096})


def test_names_that_do_not_fit_are_refused_with_the_nearest():
    weights = randomised(Parcae()).state_dict()

    with pytest.raises(ValueError, match=r"'value_embeds.0.weight' is not expected of this config; nearest: value_emb"):
        from_parcae({**weights, "value_embeds.0.weight": weights["value_embeds.1.weight"]}, CONFIG)
    with pytest.raises(ValueError, match="'transformer.C.weight' is missing"):
        from_parcae({name: x for name, x in weights.items() if name != "transformer.C.weight"}, CONFIG)
