"""A coordinate check over loop counts: what N iterations make of a state, and what a step changes of that."""

import pytest
import torch
import torch.nn.functional as F

import mythos_blocks as mb
from tests.blocks.parts import VOCAB, tokens

LOOPS = (1, 4, 16)


def coordinates(num_loops, by_count, kind):
    """Root mean squares: of how far the loop moves its state, and of how far one step of Adam moves the state then."""
    scale = {"branch_scale": 1 / num_loops} if by_count else {}
    core = {"loops": {"kind": "fixed", "num_loops": num_loops}, "layer": {"kind": kind, **scale}}
    model = mb.LoopedTransformer(VOCAB, width=32, core=core).train()
    ids, targets = tokens(4, 16), tokens(4, 16, seed=1)
    optimizer = torch.optim.Adam(model.core.parameters(), lr=2e-3)
    out = model(ids)
    F.cross_entropy(out.logits.flatten(0, 1), targets.flatten()).backward()
    optimizer.step()
    with torch.no_grad():
        moved = out.state.h - model.encode(ids)
        changed = model(ids).state.h - out.state.h
    return [float(x.square().mean().sqrt()) for x in (moved, changed)]


@pytest.mark.parametrize("kind", ["pre_norm", "sandwich"])
def test_branches_divided_by_the_loop_count_have_coordinates_of_one_size_at_all_counts(kind):
    for by_count, spread in ((True, lambda ratio: ratio < 1.6), (False, lambda ratio: ratio > 4)):
        sizes = [coordinates(num_loops, by_count, kind) for num_loops in LOOPS]
        for what, of_counts in zip(("state", "update"), zip(*sizes, strict=True), strict=True):
            assert spread(max(of_counts) / min(of_counts)), (by_count, what, of_counts)
