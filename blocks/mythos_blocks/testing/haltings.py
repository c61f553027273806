"""What a halting rule's weights come to."""

from __future__ import annotations

import torch

from mythos_blocks.testing.case import Case, contract, tokens


@contract("halting")
def its_mass_is_one_at_every_loop_count(case: Case) -> None:
    """However early or late it halts, the weights of a position's iterations sum to one."""
    model, read = case.model().eval(), tokens()
    for bias in (-6.0, -1.0, 0.0, 6.0):
        for parameter in model.core.halting.parameters():
            parameter.data.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
            if parameter.numel() == 1:
                parameter.data.fill_(bias)
        for num_loops in (1, 2, 3, 7, 16):
            halting = model(read, iterations=num_loops).halting
            mass = torch.stack(halting.weights).sum(0)
            torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-5)
            read_at = halting.depth_read()
            assert (read_at >= 1 - 1e-5).all() and (read_at <= num_loops + 1e-5).all(), "an iteration that was not run"
