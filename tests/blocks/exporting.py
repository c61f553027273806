"""What tools trace, and the program that ``torch.export`` makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from tests.blocks.covering import POSITIONS, VOCAB, WIDTH, build, covering, mask_of, tokens

every_kind = pytest.mark.parametrize("core", covering(), ids=lambda core: f"{core['kind']}-{core['loops']['kind']}")
BEFORE = {
    (slot, kind): {"kind": kind, **({"num_puzzles": VOCAB} if kind == "puzzle" else {"num_positions": POSITIONS})}
    for slot in ("prefix", "position_embedding")
    for kind in slot_info(slot).kinds
    if kind != "none"
}
"""What may stand before the first layer."""


class Logits(nn.Module):
    """What tools trace: from tokens to logits, with as many loops as are declared or said."""

    def __init__(
        self, model: mb.LoopedTransformer, mask: mb.AttentionMask | None = None, num_loops: int | None = None
    ) -> None:
        super().__init__()
        self.model, self.mask, self.num_loops = model, mask, num_loops

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(ids, self.mask, self.num_loops).logits
        return logits


def made(core: dict[str, Any], num_loops: int | None = None) -> Logits:
    """In evaluation, without layers around the loop, which are traced as those in it are."""
    mask = mask_of(core) if "attention" in core["layer"] else None
    return Logits(build(core, prelude=0).eval(), mask, num_loops)


def begun(slot: str, declared: dict[str, Any]) -> Logits:
    """A model with this before its first layer."""
    return Logits(mb.LoopedTransformer(VOCAB, width=WIDTH, **{slot: declared}).eval(), num_loops=1)


def assert_same(traced: nn.Module, plain: nn.Module, *sizes: int) -> None:
    """Both give the same for batches of these sizes."""
    for size in sizes:
        torch.testing.assert_close(traced(tokens(size)), plain(tokens(size)), rtol=1e-4, atol=1e-4)


def exported(model: Logits, strict: bool = False) -> nn.Module:
    """Its program for batches of any size."""
    dynamic = {"ids": {0: torch.export.Dim("batch", min=2, max=64)}}
    with _nobody_asks_where():
        return torch.export.export(model, (tokens(3),), dynamic_shapes=dynamic, strict=strict).module()


@contextmanager
def _nobody_asks_where() -> Iterator[None]:
    """The span in which nodes of a graph do not say which lines made them, a sixth of an export's time."""
    before = torch.fx.config.do_not_emit_stack_traces
    torch.fx.config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        torch.fx.config.do_not_emit_stack_traces = before
