"""Quality of a model on a task at a loop count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks import LoopedTransformer, LoopSampler
from mythos_lab.recipe.mask import mask_for
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import IGNORE, HeldOut, Task

_DIFFICULTY = "difficulty"


@dataclass(frozen=True)
class Scores:
    """Quality on one split.

    Attributes:
        loss: Mean cross-entropy of scored tokens, nats.
        accuracy: Share of scored tokens predicted right.
        num_scored: Scored tokens.
        by_difficulty: Accuracy for each difficulty.
        by_slice: Accuracy and scored tokens for each value of each slice that the task reports apart.
        num_loops: Iterations executed, the mean over batches.
        mean_loops: Mean over positions of the iterations run before halting.
        depth_read: Mean iteration that the readout weighs.
        bits_per_byte: The loss per byte of text, for text.
        gain: Quality less that at one loop, where it was measured.
        histogram: Share of positions that ran 1, 2, ... iterations before halting.
    """

    loss: float
    accuracy: float
    num_scored: int
    by_difficulty: dict[int, float]
    num_loops: float
    mean_loops: float
    depth_read: float
    bits_per_byte: float | None = None
    gain: float | None = None
    histogram: list[float] = field(default_factory=list)
    by_slice: dict[str, dict[int, tuple[float, int]]] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """The scores under their metric names."""
        named = {
            "val/loss": self.loss,
            "val/accuracy": self.accuracy,
            "loops/executed": self.num_loops,
            "halting/mean_loops": self.mean_loops,
            "halting/depth_read": self.depth_read,
        }
        optional = {"val/bits_per_byte": self.bits_per_byte, "loops/gain": self.gain}
        return named | {name: value for name, value in optional.items() if value is not None}


@torch.no_grad()
def evaluate(
    model: LoopedTransformer,
    task: Task,
    recipe: Recipe,
    *,
    iterations: int | Sequence[int] | None = None,
    split: HeldOut = "validation",
) -> Scores:
    """Score a model on a whole split.

    Args:
        iterations: A loop count or iteration indices; ``None`` runs the sampler's mean.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    loss, right, scored = 0.0, 0, 0
    buckets: dict[str, dict[int, list[int]]] = {}
    loops, running, read, positions = [], 0.0, 0.0, 0
    counts = torch.zeros(0)
    size, step = task.size(split), recipe.evaluation.batch_size
    for start in range(0, size, step):
        batch = task.batch(split, range(start, min(size, start + step))).to(device)
        is_scored = batch.targets != IGNORE
        out = model(batch.tokens, mask_for(recipe, batch.allowed), iterations, logits_at=is_scored)
        wanted = batch.targets[is_scored]
        loss += float(F.cross_entropy(out.logits.float(), wanted, reduction="sum"))
        correct = _predicted(out.logits, task) == wanted
        right += int(correct.sum())
        scored += int(is_scored.sum())
        axes = {} if batch.difficulty is None else {_DIFFICULTY: batch.difficulty}
        for name, values in {**axes, **batch.slices}.items():
            _count(buckets.setdefault(name, {}), values, correct, is_scored)
        loops.append(out.num_loops)
        updates = out.executed.float() if out.halting.num_updates is None else out.halting.num_updates
        running += float(updates.sum())
        read += float(out.halting.depth_read().sum())
        positions += batch.tokens.numel()
        seen = torch.bincount(updates.flatten().long().cpu(), minlength=len(counts)).float()
        counts = seen + F.pad(counts, (0, len(seen) - len(counts)))
    model.train(training)
    return Scores(
        loss=loss / scored,
        accuracy=right / scored,
        num_scored=scored,
        by_difficulty={level: hit / total for level, (hit, total) in sorted(buckets.pop(_DIFFICULTY, {}).items())},
        num_loops=sum(loops) / len(loops),
        mean_loops=running / positions,
        depth_read=read / positions,
        bits_per_byte=None if task.bits_per_byte is None else loss / scored * task.bits_per_byte,
        histogram=(counts[1:] / positions).tolist(),
        by_slice={
            name: {value: (hit / total, total) for value, (hit, total) in sorted(bucket.items())}
            for name, bucket in buckets.items()
        },
    )


def evaluate_gain(model: LoopedTransformer, task: Task, recipe: Recipe) -> Scores:
    """Score the validation split at the evaluated loop count, and at one loop for what the others gain."""
    scores = evaluate(model, task, recipe)
    if sampler(model).eval_loops == 1:
        return replace(scores, gain=0.0)
    return replace(scores, gain=quality(scores, task) - quality(evaluate(model, task, recipe, iterations=1), task))


def quality(scores: Scores, task: Task) -> float:
    """Accuracy for tasks with a chance level, else the negative loss in nats: higher is better."""
    return -scores.loss if task.chance is None else scores.accuracy


def _count(bucket: dict[int, list[int]], values: Tensor, correct: Tensor, is_scored: Tensor) -> None:
    """Add right and scored tokens to the bucket of each value, of samples or of positions.

    ``correct`` is ``(scored,)``, ``values`` ``(batch,)`` or ``(batch, positions)``.
    """
    spread = (values[:, None] if values.dim() == 1 else values).expand(is_scored.shape)[is_scored]
    for value in spread.unique().tolist():
        here = spread == value
        found = bucket.setdefault(value, [0, 0])
        found[0] += int(correct[here].sum())
        found[1] += int(here.sum())


def _predicted(logits: Tensor, task: Task) -> Tensor:
    """The likeliest token of each row ``(scored, vocab_size)``, among the task's answers where it has them."""
    if task.answers is None:
        return logits.argmax(-1)
    answers = torch.tensor(task.answers, device=logits.device)
    return answers[logits[..., answers].argmax(-1)]


def sampler(model: LoopedTransformer) -> LoopSampler:
    """The loop sampler of a model, typed."""
    loops = model.core.loops
    assert isinstance(loops, LoopSampler)
    return loops
