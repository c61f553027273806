"""Quality of a model on a task at a loop count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks import LoopedTransformer, LoopSampler
from mythos_blocks.core.state import LoopState
from mythos_blocks.model.modes import evaluating
from mythos_lab.measures.passes import passes
from mythos_lab.measures.tally import Interval, Tally
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import can_halt, updates_of
from mythos_lab.tasks.base import IGNORE, Batch, HeldOut, Task

_DIFFICULTY = "difficulty"


@dataclass(frozen=True)
class Scores:
    """Quality on one split.

    Attributes:
        tally: What each sample came to, or each unit of a task that has such.
        by_difficulty: The same for each difficulty.
        by_slice: The same for each value of each slice that the task reports apart.
        num_loops: Iterations executed, the most of any position, the mean over batches.
        mean_loops: Mean over positions that are no padding, as are those below, of the iterations run before halting.
        depth_read: Mean iteration that the readout weighs.
        histogram: Share of positions that ran 1, 2, ... iterations before halting.
        can_halt: Whether the model has a rule by which a position may stop before others; without one all that is
            said of halting is the number of loops again, and is no metric.
        bits_per_nat: Bits per byte for each nat per token, for text.
        gain: Quality less that at one loop, where it was measured.
    """

    tally: Tally
    by_difficulty: dict[int, Tally]
    by_slice: dict[str, dict[int, Tally]]
    num_loops: float
    mean_loops: float
    depth_read: float
    histogram: list[float]
    can_halt: bool
    bits_per_nat: float | None = None
    gain: float | None = None

    @property
    def loss(self) -> float:
        """Mean cross-entropy of scored tokens, nats."""
        return self.tally.loss

    @property
    def accuracy(self) -> float:
        """Share of scored tokens predicted right."""
        return self.tally.accuracy

    @property
    def num_scored(self) -> int:
        """Scored tokens."""
        return self.tally.num_scored

    @property
    def bits_per_byte(self) -> float | None:
        """The loss per byte of text, for text."""
        return None if self.bits_per_nat is None else self.loss * self.bits_per_nat

    def metrics(self) -> dict[str, float]:
        """The scores under their metric names."""
        named = {
            "val/loss": self.loss,
            "val/accuracy": self.accuracy,
            "loops/executed": self.num_loops,
        }
        if self.can_halt:
            named |= {"halting/mean_loops": self.mean_loops, "halting/depth_read": self.depth_read}
        optional = {"val/bits_per_byte": self.bits_per_byte, "loops/gain": self.gain}
        return named | {name: value for name, value in optional.items() if value is not None}

    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of metrics over samples that might have been drawn, where there are enough to tell."""
        loss = self.tally.loss_interval()
        found = {"val/loss": loss, "val/accuracy": self.tally.accuracy_interval()}
        if self.bits_per_nat is not None and loss is not None:
            found["val/bits_per_byte"] = (loss[0] * self.bits_per_nat, loss[1] * self.bits_per_nat)
        return {name: interval for name, interval in found.items() if interval is not None}


@torch.no_grad()
def evaluate(
    model: LoopedTransformer,
    task: Task,
    recipe: Recipe,
    *,
    iterations: int | Sequence[int] | None = None,
    split: HeldOut = "validation",
) -> Scores:
    """Score a model on a whole split, in the precision that the recipe declares.

    Args:
        iterations: A loop count or iteration indices; ``None`` runs the sampler's mean.
    """
    if iterations is None or isinstance(iterations, int):
        count = sampler(model).eval_loops if iterations is None else iterations
        return evaluate_counts(model, task, recipe, [count], split)[count]
    scoring = _Scoring(task, can_halt(model))
    with evaluating(model):
        for batch in batches(model, task, recipe, split):
            with autocast_for(recipe, batch.tokens.device):
                logits_at = batch.targets != IGNORE
                out = model(batch.tokens, iterations=iterations, logits_at=logits_at, **surroundings(recipe, batch))
            scoring.add(batch, out.logits, out.state)
    return scoring.scores(split)


def evaluate_counts(
    model: LoopedTransformer, task: Task, recipe: Recipe, counts: Iterable[int], split: HeldOut = "validation"
) -> dict[int, Scores]:
    """Score a model on a whole split at several loop counts, in the precision that the recipe declares."""
    scorings = {count: _Scoring(task, can_halt(model)) for count in sorted(set(counts))}
    with evaluating(model):
        for batch in batches(model, task, recipe, split):
            for scoring, read in zip(scorings.values(), passes(model, batch, recipe, list(scorings)), strict=True):
                scoring.add(batch, *read)
    return {count: scoring.scores(split) for count, scoring in scorings.items()}


def evaluate_gain(model: LoopedTransformer, task: Task, recipe: Recipe) -> Scores:
    """Score the validation split at the evaluated loop count, and at one loop for what the others gain."""
    scores = evaluate_counts(model, task, recipe, {1, sampler(model).eval_loops})
    last = scores[max(scores)]
    return replace(last, gain=quality(last, task) - quality(scores[1], task))


def batches(model: LoopedTransformer, task: Task, recipe: Recipe, split: HeldOut) -> Iterator[Batch]:
    """A whole split in batches of ``evaluation.batch_size``, on the model's device."""
    device, size, step = next(model.parameters()).device, task.size(split), recipe.evaluation.batch_size
    for start in range(0, size, step):
        yield task.batch(split, range(start, min(size, start + step))).to(device)


class _Scoring:
    """What batches come to at one loop count, until all of a split are scored."""

    def __init__(self, task: Task, can_halt: bool) -> None:
        self.task = task
        self.can_halt = can_halt
        self.tallies: list[Tally] = []
        self.buckets: dict[str, dict[int, list[Tally]]] = {}
        self.loops: list[int] = []
        self.running = self.read = 0.0
        self.positions = 0
        self.counts = torch.zeros(0)

    def add(self, batch: Batch, logits: Tensor, state: LoopState) -> None:
        """A batch, by its logits where something is scored and the state that they were read from."""
        is_scored = batch.targets != IGNORE
        wanted = batch.targets[is_scored]
        losses = F.cross_entropy(logits.float(), wanted, reduction="none").cpu()
        right = (predicted(logits, self.task.answers) == wanted).cpu()
        rows, num_rows = is_scored.nonzero()[:, 0].cpu(), len(batch.tokens)
        self.tallies.append(by_unit(batch, is_scored, right, losses))
        axes = {} if batch.difficulty is None else {_DIFFICULTY: batch.difficulty}
        for name, values in {**axes, **batch.slices}.items():
            by_value = self.buckets.setdefault(name, {})
            spread = batch.per_position(values)[is_scored].cpu()
            for value in spread.unique().tolist():
                here = spread == value
                by_value.setdefault(value, []).append(Tally.of(rows[here], right[here], losses[here], num_rows))
        updates = batch.real_values(updates_of(state))
        self.loops.append(int(batch.real_values(state.executed).max()))
        self.running += float(updates.sum())
        self.read += float(batch.real_values(state.halting.depth_read()).sum())
        self.positions += len(updates)
        seen = torch.bincount(updates.long().cpu(), minlength=len(self.counts)).float()
        self.counts = seen + F.pad(self.counts, (0, len(seen) - len(self.counts)))

    def scores(self, split: HeldOut) -> Scores:
        """What all of them come to."""
        joined = {
            name: {value: Tally.joined(parts) for value, parts in sorted(found.items())}
            for name, found in self.buckets.items()
        }
        return Scores(
            Tally.joined(self.tallies),
            by_difficulty=joined.pop(_DIFFICULTY, {}),
            by_slice=joined,
            num_loops=sum(self.loops) / len(self.loops),
            mean_loops=self.running / self.positions,
            depth_read=self.read / self.positions,
            histogram=(self.counts[1:] / self.positions).tolist(),
            can_halt=self.can_halt,
            bits_per_nat=self.task.bits_per_byte(split),
        )


def quality(scores: Scores, task: Task) -> float:
    """Accuracy for tasks with a chance level, else the negative loss in nats: higher is better."""
    return -scores.loss if task.chance is None else scores.accuracy


def quality_gain(scores: Scores, other: Scores, task: Task) -> Interval | None:
    """Interval of the quality of some scores less that of others on the same samples."""
    gain = Tally.loss_gain if task.chance is None else Tally.accuracy_gain
    return gain(scores.tally, other.tally)


def by_unit(batch: Batch, is_scored: Tensor, right: Tensor, losses: Tensor) -> Tally:
    """What the scored tokens of a batch came to, by the units that were drawn (``Batch.units``).

    Args:
        batch: The samples.
        is_scored: Which targets count, ``(batch, positions)``.
        right: Whether each is predicted right, ``(scored,)``.
        losses: Its cross-entropy, ``(scored,)``.
    """
    if batch.units is None:
        return Tally.of(is_scored.nonzero()[:, 0].cpu(), right, losses, len(batch.tokens))
    units, place = batch.units[is_scored].cpu().unique(return_inverse=True)
    return replace(Tally.of(place, right, losses, len(units)), units=units)


def predicted(logits: Tensor, answers: tuple[int, ...] | None) -> Tensor:
    """The likeliest token of each row ``(scored, vocab_size)``, among the answers where there are some."""
    if answers is None:
        return logits.argmax(-1)
    tokens = torch.tensor(answers, device=logits.device)
    return tokens[logits[..., tokens].argmax(-1)]


def sampler(model: LoopedTransformer) -> LoopSampler:
    """The loop sampler of a model, typed."""
    loops = model.core.loops
    assert isinstance(loops, LoopSampler)
    return loops
