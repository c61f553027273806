"""What the backward pass computes again has the gradients of what is kept: all kinds, all objectives, all precisions."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import mythos_blocks as mb
from mythos_blocks.checkpoints import save
from mythos_blocks.declaring.registry import slot_info
from tests.blocks.parts import VOCAB, WIDTH, make, randomise, tokens
from tests.blocks.test_straight import CORES, LOOPS, made

HIERARCHICAL = {"kind": "hierarchical", "halting": "ponder", "loops": {"kind": "fixed", "num_loops": 3}}
OBJECTIVES = {
    "expected": {"halting": "ponder"},
    "blended": {},
    "power_weighted": {},
    "supervised_halting": {"halting": "q_head"},
}


def gradients(model, loss_of, **options):
    """The gradients of a step whose noise is that of seed 0, and its loss."""
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16, enabled=options.pop("autocast", False)):
        loss = loss_of(model, **options)
    return loss, torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)


def of_outputs(model, iterations=None):
    out = model(tokens(3, 6), iterations=iterations)
    times = torch.arange(1, out.num_loops + 1)[:, None, None]
    loss = out.logits.sin().sum() + (torch.stack(out.halting.weights) * times).sum()
    return loss if out.auxiliary_loss is None else loss + out.auxiliary_loss


def assert_same(model, checkpointing, loss_of, tolerance=1e-5, **options):
    model.set_checkpointing("none")
    wanted, others = gradients(model, loss_of, **options)
    model.set_checkpointing(checkpointing)
    loss, found = gradients(model, loss_of, **options)
    torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=1e-6)
    assert any(gradient is not None for gradient in found)
    for (name, _), ours, theirs in zip(model.named_parameters(), found, others, strict=True):
        assert (ours is None) == (theirs is None), name
        if ours is not None and theirs is not None:
            far = 10 * tolerance * float(theirs.abs().max())
            torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=far, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("core", CORES, ids=str)
def test_every_kind_has_equal_gradients_and_draws_the_same_numbers(core):
    model = made(core, gradient_window=None if "gradient" in core else 3).train()
    assert_same(model, "layer", of_outputs)
    if core.get("gradient", {}).get("kind") != "implicit":
        assert_same(model, "iteration", of_outputs)


@pytest.mark.parametrize("core", [{}, {"kv_policy": "first"}, {"halting": {"kind": "act"}}], ids=str)
@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
def test_counts_of_their_own_have_equal_gradients(core, checkpointing):
    model = made(core, gradient_window=2).train()
    assert_same(model, checkpointing, of_outputs, iterations=torch.tensor([1, LOOPS, 3]))


@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
@pytest.mark.parametrize("cycle_gradient", ["full", "last_update"])
def test_two_states_have_equal_gradients(checkpointing, cycle_gradient):
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core={**HIERARCHICAL, "cycle_gradient": cycle_gradient}).train()
    randomise(model, std=0.2)
    assert_same(model, checkpointing, of_outputs)


@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_objectives_over_all_iterations_have_equal_gradients(kind, checkpointing):
    layer = {"kind": "pre_norm", "dropout": 0.3}
    model = made({"layer": layer, **OBJECTIVES[kind]}, gradient_window=2).train()
    objective = make("objective", {"kind": kind})
    targets = tokens(3, 6, seed=1)

    def loss_of(model, iterations=None):
        record = "window" if objective.by_weight else "states"
        out = model(tokens(3, 6), iterations=iterations, record=record)
        assert (out.beginning is not None) == (checkpointing == "iteration" == seen and objective.by_weight)
        return objective.loss(model, out, targets)

    for iterations in (None, torch.tensor([1, LOOPS, 2]), torch.tensor([3, LOOPS, 4])):
        seen = "none"
        model.set_checkpointing("none")
        wanted, others = gradients(model, loss_of, iterations=iterations)
        seen = checkpointing
        model.set_checkpointing(checkpointing)
        loss, found = gradients(model, loss_of, iterations=iterations)
        torch.testing.assert_close(loss, wanted)
        torch.testing.assert_close(found, others)


@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
def test_products_in_bfloat16_are_computed_again_in_bfloat16(checkpointing):
    model = made({"layer": {"feedforward": "moe"}, "halting": "ponder"}).train()
    assert_same(model, checkpointing, of_outputs, tolerance=1e-3, autocast=True)


@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
def test_experts_are_counted_once(checkpointing):
    model = made({"layer": {"feedforward": "moe"}, "halting": "ponder"}, gradient_window=2).train()
    loads = []
    for what in ("none", checkpointing):
        model.set_checkpointing(what)
        out = model(tokens(3, 6), record="window")
        mb.Expected().loss(model, out, tokens(3, 6, seed=1)).backward()
        counted = next(module for module in model.core.modules() if hasattr(module, "load"))
        loads.append(counted.load.clone())
        counted.load.zero_()
    assert torch.equal(*loads) and int(loads[0].sum()) > 0


@pytest.mark.parametrize("kind", sorted(slot_info("penalty").kinds))
@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
def test_penalties_have_equal_gradients(kind, checkpointing, tmp_path):
    """Whatever kernels of attention a penalty allows while it is computed: the backward pass comes later."""
    fields = {"weight_cosine": {"block": 1}, "jacobian_radius": {"limit": 0.01}}.get(kind, {})
    if kind == "distillation":
        save(mb.LoopedTransformer(VOCAB, width=8), tmp_path / "teacher.safetensors")
        fields = {"teacher": str(tmp_path / "teacher.safetensors")}
    model = made({"depth": 2, "halting": "ponder" if kind == "gate_improvement" else "none"}).train()
    penalty, targets = mb.build(mb.Slot("penalty").resolve({"kind": kind, **fields})), tokens(3, 6)
    penalty.check(model)

    def loss_of(model):
        out = model(targets, record="states")
        return out.logits.sin().sum() + penalty.loss(model, out, targets)[0]

    assert_same(model, checkpointing, loss_of)


@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
def test_layers_are_computed_again_by_the_kernels_of_the_first_time(checkpointing):
    def loss_of(model):
        with sdpa_kernel(SDPBackend.MATH):
            return of_outputs(model)

    assert_same(made({}).train(), checkpointing, loss_of)


def test_iterations_without_a_graph_are_not_computed_again():
    model = made({"gradient": {"kind": "implicit", "num_iterations": 4}})
    with pytest.raises(ValueError, match=r"with core\.gradient 'implicit' none has; use 'layer' or 'none'"):
        model.set_checkpointing("iteration")


def test_compiled_layers_are_computed_again():
    model = made({}, gradient_window=2).train()
    model.compile_layers(backend="eager")
    assert_same(model, "iteration", of_outputs)
