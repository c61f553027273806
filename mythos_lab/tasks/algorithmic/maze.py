"""The way through a maze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, NoneOrMore
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated
from mythos_lab.tasks.samples import Samples

WALL, OPEN, START, GOAL, OFF, ON = range(6)

Bools = NDArray[np.bool_]


@component("task", "maze")
class Maze(Generated):
    """A maze without circles; of open squares it is asked whether the way from start to goal leads over them.

    Cells are joined by a spanning tree of smallest random weights, so there is one way. A square is a cell, a passage
    or a wall. Start and goal are random cells of the given distance. All squares of the way between them are
    asked for and equally many others (in a small maze with a long way, all others). Needs ``mask: full``.

    Args:
        size: Cells on a side; squares on a side are twice as many, less one.
        min_steps: Least distance from start to goal in training, in cells.
        max_steps: Largest such distance in training.

    Raises:
        ValueError: ``min_steps`` exceeds ``max_steps``, or mazes are too small for such distances.
    """

    vocab_size = 6
    symbols = ("#", " ", "S", "G", ".", "o")
    answers = (OFF, ON)
    difficulty_name = "steps"
    difficulty_is_depth = True
    chance = 0.5
    bidirectional = True
    # A short way is mostly straight: inside the box of its ends.
    max_shortcut = 0.75

    def __init__(
        self,
        *,
        size: Annotated[Count, Field(ge=3, le=32)] = 5,
        min_steps: Annotated[Count, Field(ge=2)] = 3,
        max_steps: Count = 7,
        ood_range: NoneOrMore = 3,
        **fields: Any,
    ) -> None:
        super().__init__(ood_range=ood_range, **fields)
        self.cells = size
        self.side = 2 * size - 1
        self.spans(min_steps, max_steps, lambda steps: self.side**2)
        if self.top > 2 * size:
            raise ValueError(
                f"max_steps={max_steps} and ood_range={ood_range} must come to at most 2 size = {2 * size}, "
                "for enough mazes to have such ways"
            )

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        steps = self.levels(rng, num, split)
        tokens = np.full((num, self.side**2), WALL)
        targets = np.full((num, self.side**2), IGNORE)
        open_, cells = np.arange(num), self._cells()
        while len(open_):
            squares = spanning_trees(rng, len(open_), self.cells)
            start = cells[rng.integers(0, len(cells), len(open_))]
            distance = distances(squares, start) // 2
            far = (distance[:, cells] == steps[open_, None]) * rng.random((len(open_), len(cells)))
            goal = cells[far.argmax(1)]
            found = far.any(1)
            if not found.any():
                continue
            rows, squares, start, goal = open_[found], squares[found], start[found], goal[found]
            here = np.arange(len(rows))
            way = _way(squares, start, goal)
            shown = np.where(squares.reshape(len(rows), -1), OPEN, WALL)
            shown[here, start], shown[here, goal] = START, GOAL
            tokens[rows] = shown
            # As many squares off the way as on it are asked for, so that neither answer is commoner.
            asked = np.where((shown == OPEN) & ~way, rng.random(shown.shape), 2.0)
            on = (shown == OPEN) & way
            off = np.argsort(np.argsort(asked, axis=1), axis=1) < on.sum(1, keepdims=True)
            targets[rows] = np.where(on, ON, np.where(off & (asked < 2), OFF, IGNORE))
            open_ = open_[~found]
        return Samples(tokens, targets, steps)

    def oracle(self, batch: Batch) -> Tensor:
        answers = []
        for row in batch.tokens.tolist():
            came = {row.index(START): -1}
            queue = [row.index(START)]
            for at in queue:
                queue += [n for n in self._neighbours(at) if row[n] != WALL and n not in came]
                came.update({n: at for n in self._neighbours(at) if row[n] != WALL and n not in came})
            way, at = set(), row.index(GOAL)
            while at >= 0:
                way.add(at)
                at = came[at]
            answers.append([ON if i in way else OFF for i in range(len(row))])
        return torch.tensor(answers)

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        rows, squares = np.nonzero((batch.targets != IGNORE).numpy())
        ends = [np.stack(np.divmod((tokens == end).argmax(1), self.side), 1)[rows] for end in (START, GOAL)]
        here = np.stack(np.divmod(squares, self.side), 1)
        low, high = np.minimum(*ends), np.maximum(*ends)
        within = ((here >= low) & (here <= high)).astype(np.int64)
        return {"inside the box of start and goal": within}

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The four squares around: a dead end is not on the way."""
        tokens = batch.tokens.numpy()
        grid = np.pad(tokens.reshape(-1, self.side, self.side), ((0, 0), (1, 1), (1, 1)), constant_values=WALL)
        around = [
            grid[:, 1 + r : 1 + r + self.side, 1 + c : 1 + c + self.side].reshape(len(tokens), -1)
            for r, c in ((0, 1), (0, -1), (1, 0), (-1, 0))
        ]
        return {"the squares around": np.stack(around, 2)[(batch.targets != IGNORE).numpy()]}

    def render(self, batch: Batch, row: int) -> str:
        shown, answers = batch.tokens[row].tolist(), batch.targets[row].tolist()
        marks = [
            self._symbol(t if a == IGNORE else ON if a == ON else OPEN) for t, a in zip(shown, answers, strict=True)
        ]
        return "\n".join("".join(marks[i : i + self.side]) for i in range(0, self.side**2, self.side))

    def _cells(self) -> Array:
        """The squares that are cells."""
        even = np.arange(0, self.side, 2)
        return (even[:, None] * self.side + even).reshape(-1)

    def _neighbours(self, square: int) -> list[int]:
        r, c = divmod(square, self.side)
        around = ((r, c + 1), (r, c - 1), (r + 1, c), (r - 1, c))
        return [i * self.side + j for i, j in around if 0 <= i < self.side and 0 <= j < self.side]


def spanning_trees(rng: np.random.Generator, num: int, size: int) -> Bools:
    """Open squares ``(num, side, side)`` of mazes of ``size`` cells a side, by Prim's algorithm on random weights."""
    side, rows = 2 * size - 1, np.arange(num)
    cell = np.arange(size * size).reshape(size, size)
    ends = np.concatenate(
        [
            np.stack((cell[:, :-1].reshape(-1), cell[:, 1:].reshape(-1)), 1),
            np.stack((cell[:-1].reshape(-1), cell[1:].reshape(-1)), 1),
        ]
    )
    square = (2 * (ends // size)).sum(1) // 2 * side + (2 * (ends % size)).sum(1) // 2
    weight = rng.random((num, len(ends)))
    inside = np.zeros((num, size * size), dtype=bool)
    inside[:, 0] = True
    open_ = np.zeros((num, side * side), dtype=bool)
    even = np.arange(0, side, 2)
    open_[:, (even[:, None] * side + even).reshape(-1)] = True
    for _ in range(size * size - 1):
        crossing = inside[:, ends[:, 0]] != inside[:, ends[:, 1]]
        edge = np.where(crossing, weight, 2.0).argmin(1)
        open_[rows, square[edge]] = True
        inside[rows, ends[edge, 0]] = inside[rows, ends[edge, 1]] = True
    return open_.reshape(num, side, side)


def distances(squares: Bools, start: Array) -> Array:
    """Steps from the start to every square, ``(mazes, side * side)``; -1 for what is not reached."""
    num, side = len(squares), squares.shape[1]
    reached = np.zeros((num, side * side), dtype=bool)
    reached[np.arange(num), start] = True
    distance = np.where(reached, 0, -1)
    step = 0
    while True:
        step += 1
        wider = (_grown(reached.reshape(num, side, side)) & squares).reshape(num, -1)
        fresh = wider & ~reached
        if not fresh.any():
            return distance
        distance[fresh] = step
        reached = reached | fresh


def _way(squares: Bools, start: Array, goal: Array) -> Bools:
    """The squares of the way, ``(mazes, side * side)``: those whose distances from both ends add up to its length."""
    there, back = distances(squares, start), distances(squares, goal)
    length = there[np.arange(len(goal)), goal][:, None]
    way: Bools = (there + back == length) & (there >= 0)
    return way


def _grown(mask: Bools) -> Bools:
    grown = mask.copy()
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    grown[:, :, 1:] |= mask[:, :, :-1]
    grown[:, :, :-1] |= mask[:, :, 1:]
    return grown
