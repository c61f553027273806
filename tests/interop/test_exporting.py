"""Programs of many loops, which ``make test`` has no time for: the cores that hold every kind, exported at eight."""

import torch

from tests.blocks.exporting import assert_same, every_kind, exported, made


@torch.no_grad()
@every_kind
def test_a_program_of_eight_loops_takes_any_batch(core):
    """One and three loops are exported in ``tests/blocks/test_exporting.py``."""
    model = made(core, num_loops=8)
    assert_same(exported(model), model, 2, 5)
