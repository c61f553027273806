"""The initial weights of Huginn and Parcae, and which matrices they single out."""

import math

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.initialization.base import is_output
from tests.blocks.parts import NEEDED, kinds

VOCAB, D = 600, 64
CUT = 0.98658  # what a cut at three standard deviations leaves of one


def built(initialization, layer="pre_norm", **model):
    core = {"depth": 2, "layer": layer, "injection": "concat", "loops": {"kind": "fixed", "num_loops": 5}}
    outer = {"depth": 1, "layer": layer}
    core |= model.pop("core", {})
    return mb.LoopedTransformer(
        VOCAB, width=D, prelude=outer, core=core, coda=outer, initialization=initialization, **model
    )


def weights(model):
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.dim() >= 2}


def test_depth_scaled_is_huginns():
    """sqrt(2 / 5d) everywhere, and over sqrt(2 L) with L = 1 + 2 * 5 + 1 where a layer writes; cut at three."""
    model = built("depth_scaled", {"kind": "stream_norm", "attention": "mha"}, tie_embeddings=False)
    std = math.sqrt(2 / (5 * D))
    outputs = []
    for name, weight in weights(model).items():
        writes = name.endswith(("attention.out.weight", "feedforward.down.weight"))
        wanted = std / math.sqrt(2 * 12) if writes else std
        outputs += [name] * writes
        assert float(weight.std()) == pytest.approx(wanted * CUT, rel=0.05), name
        assert float(weight.abs().max()) <= 3 * wanted * (1 + 1e-6), name
    assert len(outputs) == 2 * 4


@pytest.mark.parametrize("kind", ["depth_scaled", "scaled_zero"])
def test_value_embeddings_begin_as_parcaes_whatever_the_layers_begin_with(kind):
    layer = {"attention": {"kind": "mha", "value_embeddings": VOCAB}}
    drawn = weights(built(kind, layer))
    tables = [w for n, w in drawn.items() if n.endswith("value_embedding.table.weight")]
    gates = [w for n, w in drawn.items() if n.endswith("value_embedding.gate.weight")]
    assert len(tables) == len(gates) == 4
    for table, gate in zip(tables, gates, strict=True):
        assert float(table.std()) == pytest.approx(1, rel=0.03)
        assert 0.8 * 32**-0.5 < float(gate.abs().max()) <= 32**-0.5


def test_the_published_numbers_of_huginn():
    with torch.device("meta"):
        model = mb.LoopedTransformer(
            8,
            width=5280,
            prelude={"depth": 2},
            core={"depth": 4, "loops": {"kind": "poisson_lognormal", "mean": 32.0}},
            coda={"depth": 2},
        )
    depth = mb.initialization.depth_scaled.effective_depth(model)
    assert depth == 132
    assert math.sqrt(2 / (5 * 5280)) == pytest.approx(0.008703882797784892)
    assert math.sqrt(2 / (5 * 5280)) / math.sqrt(2 * depth) == pytest.approx(5.357e-4, rel=1e-3)


def test_the_effective_depth_counts_the_cycles_of_a_hierarchy():
    core = {"kind": "hierarchical", "depth": 2, "num_high_cycles": 3, "num_low_cycles": 6, "loops": "fixed"}
    model = mb.LoopedTransformer(8, width=32, core=core, initialization="depth_scaled")
    segments = model.core.loops.eval_loops
    assert mb.initialization.depth_scaled.effective_depth(model) == segments * 3 * (6 + 1) * 2


@pytest.mark.parametrize("orthogonal", [True, False])
def test_scaled_zero_is_parcaes(orthogonal):
    layer = {"attention": {"kind": "mha", "value_embeddings": VOCAB}, "feedforward": "relu2"}
    core = {"injection": "concat", "interface": "projection"}
    model = built({"kind": "scaled_zero", "orthogonal": orthogonal}, layer, core=core)
    std, seen = math.sqrt(2 / (5 * D)), set()
    for name, weight in weights(model).items():
        seen.add(name.split(".")[-2])
        if name.endswith(("attention.out.weight", "feedforward.down.weight")):
            assert not weight.any(), name
        elif name.endswith("value_embedding.table.weight"):
            assert float(weight.std()) == pytest.approx(1, rel=0.03), name
        elif name.endswith("value_embedding.gate.weight"):
            assert 0.8 * 32**-0.5 < float(weight.abs().max()) <= 32**-0.5, name
        elif orthogonal and name != "core.injection.adapter.weight":
            thin = weight if weight.shape[0] >= weight.shape[1] else weight.T
            wanted = std**2 * len(thin) * torch.eye(thin.shape[1])
            torch.testing.assert_close(thin.T @ thin, wanted, rtol=1e-4, atol=1e-4, msg=name)
        else:
            assert float(weight.std()) == pytest.approx(std * CUT, rel=0.05), name
            assert float(weight.abs().max()) <= 3 * std * (1 + 1e-6), name
    assert seen == {"embedding", "q", "k", "v", "out", "table", "gate", "up", "down", "adapter", "projection"}


@torch.no_grad()
def test_under_scaled_zero_every_layer_begins_as_the_identity():
    model = built("scaled_zero", core={"injection": "none"})
    x = torch.randn(2, 7, D, generator=torch.Generator().manual_seed(0))
    for layer in (*model.prelude.layers, *model.core.layers, *model.coda.layers):
        assert torch.equal(layer(x), x)


@pytest.mark.parametrize("kind", ["depth_scaled", "scaled_zero"])
def test_looped_layers_of_another_width_are_scaled_by_that(kind):
    core = {
        "state_width": 160,
        "injection": "lti_input",
        "interface": "projection",
        "initial_state": "zeros",
        "loops": "fixed",
    }
    model = built({"kind": kind, "orthogonal": False}, "pre_norm", core=core)
    drawn = weights(model)
    for name, width in (
        ("prelude.layers.0.attention.q.weight", D),
        ("core.layers.0.attention.q.weight", 160),
        ("core.interface.projection.weight", D),
    ):
        assert float(drawn[name].std()) == pytest.approx(CUT * math.sqrt(2 / (5 * width)), rel=0.03), name


def single_outputs(layer):
    """The matrices of a layer that the rule singles out, by their names within it."""
    model = mb.LoopedTransformer(16, width=32, core={"layer": layer})
    prefix = "core.layers.0."
    return {n.removeprefix(prefix) for n, p in model.named_parameters() if p.dim() >= 2 and is_output(n, model)}


@pytest.mark.parametrize("slot, kind", kinds("attention", "feedforward"))
def test_every_attention_and_feedforward_has_one_output_matrix_and_is_silent_without_it(slot, kind):
    declared = {"kind": kind, **NEEDED.get((slot, kind), {})}
    model = mb.LoopedTransformer(16, width=32, core={"layer": {slot: declared}})
    part = getattr(model.core.layers[0], slot)
    found = [p for n, p in model.named_parameters() if f".{slot}." in n and p.dim() >= 2 and is_output(n, model)]
    if not list(part.parameters()):
        return  # the identity has nothing to initialise
    assert found, "no output matrix"
    x = torch.randn(1, 8, 32, generator=torch.Generator().manual_seed(0))
    frame = mb.Frame(mb.AttentionMask(causal=kind != "mixer"), tokens=torch.zeros(1, 8, dtype=torch.long), t=0)
    with torch.no_grad():
        before = part(x, frame)
        for weight in found:
            weight.zero_()
        after = part(x, frame)
    assert before.any() and not after.any()


def test_outputs_by_name():
    assert single_outputs({"attention": "mla"}) == {"attention.out.weight", "feedforward.down.weight"}
    assert single_outputs({"kind": "mixture", "wiring": "parallel"}) == {"mix.weight"}
    assert single_outputs({"kind": "mixture", "wiring": "sequential"}) == {
        "attention.out.weight",
        "depth_attention.out.weight",
        "feedforward.down.weight",
    }
    model = mb.LoopedTransformer(16, width=32, core={"injection": "ffn", "depth_adapter": "depth_lora"})
    names = {n for n, _ in model.named_parameters()}
    assert {"core.injection.down.weight", "core.depth_adapter.down.weight"} <= names
    assert not is_output("core.injection.down.weight", model)
    assert not is_output("core.depth_adapter.down.weight", model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonal_matrices_are_orthogonal(dtype):
    core = {"layer": {"feedforward": "moe"}}
    model = mb.LoopedTransformer(64, width=32, core=core, initialization={"kind": "orthogonal", "gain": 2.0}).to(dtype)
    model.initialize(seed=3)
    drawn = {name: weight.float() for name, weight in weights(model).items()}
    experts = drawn["core.layers.0.feedforward.up"]
    assert experts.dim() == 3
    for thin in (drawn["core.layers.0.attention.q.weight"], *experts):
        thin = thin if thin.shape[0] >= thin.shape[1] else thin.T
        tolerance = 1e-4 if dtype is torch.float32 else 0.05
        torch.testing.assert_close(thin.T @ thin, 4 * torch.eye(thin.shape[1]), rtol=tolerance, atol=tolerance)
    assert float(drawn["embedding.weight"].std()) == pytest.approx(0.02, rel=0.1)
