"""The two-state core against the equations of HRM and TRM."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import randomise, tokens


def model(**core):
    core = {"kind": "hierarchical", "depth": 1, "loops": {"kind": "fixed", "num_loops": 3}, **core}
    built = mb.LoopedTransformer(29, width=32, core=core)
    randomise(built, std=0.2)
    return built


def by_definition(core, e, num_loops, gradient="full"):
    low, high = core.initial_low_state(e), core.initial_state(e)

    def run(layers, x):
        for layer in layers:
            x = layer(x)
        return x

    for _ in range(num_loops):
        for cycle in range(core.num_high_cycles):
            for move in range(core.num_low_cycles):
                final = cycle == core.num_high_cycles - 1
                low = run(core.layers, low + high + e)
                if (gradient == "last_cycle" and not final) or (
                    gradient == "last_update" and not (final and move == core.num_low_cycles - 1)
                ):
                    low = low.detach()
            high = run(core.high_layers, high + low)
            if gradient != "full" and not final:
                high = high.detach()
    return high


@pytest.mark.parametrize("shared", [False, True], ids=["HRM", "TRM"])
@pytest.mark.parametrize("cycles", [(2, 2), (3, 6), (1, 1)])
def test_a_segment_moves_the_low_state_several_times_for_each_move_of_the_high_one(shared, cycles):
    built = model(shared=shared, num_high_cycles=cycles[0], num_low_cycles=cycles[1])
    e = built.embedding(tokens())

    torch.testing.assert_close(built.core(e, None, 2).h, by_definition(built.core, e, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["full", "last_cycle", "last_update"])
def test_gradients_are_those_of_a_segment_detached_as_declared(policy):
    built = model(cycle_gradient=policy).train()

    ours, wanted = [], []
    for kept, h in (
        (ours, built.core(built.embedding(tokens()), None, 1).h),
        (wanted, by_definition(built.core, built.embedding(tokens()), 1, policy)),
    ):
        built.zero_grad()
        h.sin().sum().backward()
        kept.extend(p.grad.clone() for p in built.core.parameters())

    for one, other in zip(ours, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_one_net_for_both_roles_has_half_the_layers():
    two, one = (sum(p.numel() for p in model(shared=shared).core.layers.parameters()) for shared in (False, True))
    both = sum(p.numel() for p in model().core.parameters())

    assert two == one and both == 2 * one
    assert model(shared=True).core.high_layers is not model().core.high_layers


@torch.no_grad()
def test_compaction_and_recording_work_as_in_any_core():
    built = model(halting={"kind": "act", "halted_state": "frozen", "initial_bias": -1.0}).eval()
    built.core.halting.probability.weight.normal_(std=0.5)

    compact, plain = (built(tokens(3), iterations=6, compact=c, record=True) for c in (True, False))

    assert 1 < compact.executed.float().mean() < 6
    torch.testing.assert_close(compact.logits, plain.logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(compact.executed, plain.executed)
    assert ("core", 0, "low", 1, 1, 0) in compact.tape


def test_the_high_net_may_have_a_depth_of_its_own():
    core = mb.HierarchicalLoop(32, depth=1, high_depth=3)
    assert (len(core.layers), len(core.high_layers)) == (1, 3)
    with pytest.raises(ValueError, match="high_depth=3 differs from depth=2, and shared=True has one net"):
        mb.HierarchicalLoop(32, depth=2, high_depth=3, shared=True)


@pytest.mark.parametrize("low_gradient", [[1, 2], [0, 1], [3, 3]])
def test_low_gradient_cuts_the_first_low_moves_before_each_high_one_and_a_nets_norm_stands_after_it(low_gradient):
    core = mb.HierarchicalLoop(32, depth=1, num_low_cycles=3, low_gradient=low_gradient, net_norm="layer").double()
    randomise(core, std=0.2)
    e = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    out = core(e, iterations=1).h
    low, high = core.initial_low_state(e), core.initial_state(e)
    for count in low_gradient:
        for move in range(3):
            with torch.set_grad_enabled(move >= 3 - count):
                low = core.low_norm(core.layers[0](low + high + e))
        high = core.high_norm(core.high_layers[0](high + low))
    torch.testing.assert_close(out, high, rtol=1e-12, atol=1e-12)
    mine, wanted = (torch.autograd.grad(x.sin().sum(), [e, *core.parameters()], allow_unused=True) for x in (out, high))
    for a, b in zip(mine, wanted, strict=True):
        assert (a is None and b is None) or torch.allclose(a, b, rtol=1e-10, atol=1e-12)


def test_low_gradient_has_a_number_for_each_high_move():
    with pytest.raises(ValueError, match=r"low_gradient=\[1\] needs num_high_cycles=2 numbers"):
        mb.HierarchicalLoop(32, low_gradient=[1])
