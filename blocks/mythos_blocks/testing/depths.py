"""What signals and adapters do beyond the iterations that they tell apart."""

from __future__ import annotations

import torch

from mythos_blocks.testing.case import WIDTH, Case, contract, randomise


@contract("depth_signal", "depth_adapter")
def iterations_beyond_its_table_use_the_last_row(case: Case) -> None:
    """Where it tells a number of iterations apart, later ones are like the last of them, and the first is not."""
    part = getattr(case.model().core, case.slot)
    if part.reach is None or (case.slot == "depth_adapter" and part.inner() is not None):
        return
    randomise(part)

    def told(t: int) -> torch.Tensor:
        answer: torch.Tensor = part(t) if case.slot == "depth_signal" else part(torch.ones(WIDTH), t)
        return answer

    assert torch.equal(told(part.reach - 1), told(part.reach + 5))
    assert not torch.equal(told(0), told(part.reach - 1))
