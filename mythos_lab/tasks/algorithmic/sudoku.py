"""Sudoku of 4 x 4."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import permutations, product
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.samples import Samples

BLANK = 5
_CELLS = 16
_MOST = 12  # of the cells; no grid is settled by fewer than four


@component("task", "sudoku")
class Sudoku(Generated):
    """Sudoku of 4 x 4 with one solution; the blank cells are asked for, all at once.

    A puzzle's split is that of its solution: of the 288 grids, those of validation and test never occur in training,
    with whatever cells blank. Needs ``mask: full``.

    Args:
        min_blanks: Fewest blank cells in training.
        max_blanks: Most blank cells in training.

    Raises:
        ValueError: ``min_blanks`` exceeds ``max_blanks``, or more than 12 cells would be blank.
    """

    vocab_size = 6
    symbols = ("", "1", "2", "3", "4", ".")
    answers = (1, 2, 3, 4)
    difficulty_name = "blanks"
    chance = 0.25
    bidirectional = True
    max_shortcut = 0.4  # of few blanks, by the digits that are given less often

    def __init__(
        self,
        *,
        min_blanks: Annotated[Count, Field(ge=1, le=_MOST)] = 4,
        max_blanks: Annotated[Count, Field(ge=1, le=_MOST)] = 8,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.spans(min_blanks, max_blanks, lambda blanks: _CELLS)
        if self.top > _MOST:
            raise ValueError(f"max_blanks={max_blanks} and ood_range={self.ood_range} must come to at most {_MOST}")

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        blanks = self.levels(rng, num, split)
        solution, shown = np.zeros((2, num, _CELLS), dtype=np.int64)
        open_ = np.arange(num)
        while len(open_):
            solution[open_] = grids()[rng.integers(0, len(grids()), len(open_))]
            rank = np.argsort(np.argsort(rng.random((len(open_), _CELLS)), axis=1), axis=1)
            shown[open_] = np.where(rank < blanks[open_, None], 0, solution[open_])
            open_ = open_[solutions(shown[open_]).sum(1) != 1]
        tokens = np.where(shown == 0, BLANK, shown)
        return Samples(tokens, np.where(shown == 0, solution, IGNORE), blanks, problem=solution)

    def oracle(self, batch: Batch) -> Tensor:
        tokens = batch.tokens.numpy()
        fits = solutions(np.where(tokens == BLANK, 0, tokens))
        return filled(batch, grids()[fits.argmax(1)][tokens == BLANK])

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        rows, cells = np.nonzero(tokens == BLANK)
        counts = np.stack([(tokens == digit).sum(1) for digit in (1, 2, 3, 4)], 1)
        return {"the cell": cells[:, None], "how often each digit is given": counts[rows]}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The digits that row, column and box leave to the cell: one step of elimination."""
        tokens = batch.tokens.numpy()
        rows, cells = np.nonzero(tokens == BLANK)
        seen = tokens[rows[:, None], _peers()[cells]]
        return {"what row, column and box leave": np.stack([(seen == d).any(1) for d in (1, 2, 3, 4)], 1)}

    def render(self, batch: Batch, row: int) -> str:
        tokens = [self._symbol(t) for t in batch.tokens[row].tolist()]
        targets = [self._symbol(t) if t != IGNORE else " " for t in batch.targets[row].tolist()]
        lines = [f"{''.join(tokens[i : i + 4])}   {''.join(targets[i : i + 4])}" for i in range(0, _CELLS, 4)]
        return "\n".join(lines)


@lru_cache(maxsize=1)
def grids() -> Array:
    """All 288 grids, ``(288, 16)``."""
    rows = list(permutations((1, 2, 3, 4)))
    found = []
    for first, second in product(rows, rows):
        if {*first[:2], *second[:2]} != {1, 2, 3, 4}:
            continue
        for third, fourth in product(rows, rows):
            columns_fit = all(len({*column}) == 4 for column in zip(first, second, third, fourth, strict=True))
            if columns_fit and {*third[:2], *fourth[:2]} == {1, 2, 3, 4}:
                found.append((*first, *second, *third, *fourth))
    return np.array(found)


def solutions(shown: Array) -> Array:
    """Which grids agree with what is shown, 0 for a blank: ``(puzzles, 16) -> (puzzles, 288)``."""
    # One bit for a cell and digit: a grid fits if it has all the bits that are shown.
    weight = np.arange(_CELLS) * 4
    bits = np.where(shown > 0, np.uint64(1) << (weight + shown - 1).clip(0).astype(np.uint64), np.uint64(0))
    wanted = np.bitwise_or.reduce(bits, axis=1)
    return (wanted[:, None] & ~_grid_bits()) == 0


@lru_cache(maxsize=1)
def _grid_bits() -> Array:
    weight = np.arange(_CELLS) * 4
    return np.bitwise_or.reduce(np.uint64(1) << (weight + grids() - 1).astype(np.uint64), axis=1)


@lru_cache(maxsize=1)
def _peers() -> Array:
    """The other cells of each cell's row, column and box, ``(16, 7)``."""
    cells = []
    for cell in range(_CELLS):
        r, c = divmod(cell, 4)
        same = [
            o
            for o in range(_CELLS)
            if o != cell and (o // 4 == r or o % 4 == c or (o // 8 == r // 2 and o % 4 // 2 == c // 2))
        ]
        cells.append(same)
    return np.array(cells)
