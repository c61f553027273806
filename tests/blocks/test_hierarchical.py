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
