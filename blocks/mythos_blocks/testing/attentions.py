"""What attention reads: earlier positions, and those that the task's mask allows."""

from __future__ import annotations

import torch

import mythos_blocks as mb
from mythos_blocks.testing.case import POSITIONS, WIDTH, Case, contract


@contract("attention")
def it_reads_earlier_positions_and_those_that_the_mask_allows(case: Case) -> None:
    """Alone it is causal; a mask says what else; and no sequence reads another."""
    if not case.causal:
        return
    attention = case.part(case.model())
    x = torch.randn(2, POSITIONS, WIDTH, generator=torch.Generator().manual_seed(3))
    changed = x.clone()
    changed[:, 5:] += 1
    before, after = attention(x), attention(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5], rtol=0, atol=1e-6)
    assert (before[:, 5:] - after[:, 5:]).abs().max() > 1e-7, "a position changes nothing where it stands"
    allowed = torch.eye(POSITIONS, dtype=torch.bool).expand(2, POSITIONS, POSITIONS).clone()
    allowed[:, 2, 7] = True
    frame = mb.Frame(mb.AttentionMask(causal=False, allowed=allowed))
    before, after = attention(x, frame), attention(changed, frame)
    untouched = [0, 1, 3, 4]
    torch.testing.assert_close(before[:, untouched], after[:, untouched], rtol=0, atol=1e-6)
    assert (before[:, 2] - after[:, 2]).abs().max() > 1e-7, "what the mask allows is not read"
    torch.testing.assert_close(attention(x[:1]), attention(x)[:1])
