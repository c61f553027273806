"""The depth curve: quality against the number of loops, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from mythos_blocks import LoopedTransformer
from mythos_lab.measures.evaluate import Scores, evaluate_counts, quality, quality_gain, sampler
from mythos_lab.measures.tally import Interval
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import HeldOut, Task


@dataclass(frozen=True)
class DepthCurve:
    """Scores at each loop count.

    Attributes:
        task: What was solved.
        eval_loops: The loop count at which the model is evaluated by default.
        scores: Scores by loop count.
    """

    task: Task
    eval_loops: int
    scores: dict[int, Scores]

    @property
    def quality_name(self) -> str:
        """``"accuracy"`` for tasks with a chance level, else ``"loss"``."""
        return "loss" if self.task.chance is None else "accuracy"

    def quality(self, num_loops: int) -> float:
        """Accuracy, or the negative loss in nats: higher is better."""
        return quality(self.scores[num_loops], self.task)

    def metrics(self) -> dict[str, float]:
        """Gain, useful depth and overthinking."""
        qualities = {n: self.quality(n) for n in self.scores}
        best = max(qualities.values())
        return {
            "loops/gain": qualities[self.eval_loops] - qualities[min(qualities)],
            "loops/useful_depth": float(min(n for n, q in qualities.items() if q >= best - 0.01 * abs(best))),
            "loops/overthinking": best - qualities[max(qualities)],
        }

    def gain_interval(self) -> Interval | None:
        """95 % interval of ``loops/gain``, by what the two loop counts made of the same samples."""
        return quality_gain(self.scores[self.eval_loops], self.scores[min(self.scores)], self.task)

    def interval(self, num_loops: int) -> Interval | None:
        """95 % interval of the accuracy or the loss at a loop count."""
        tally = self.scores[num_loops].tally
        return tally.loss_interval() if self.task.chance is None else tally.accuracy_interval()

    def rows(self) -> list[dict[str, float]]:
        """One row a loop count, for tables and JSON."""
        return [
            {
                "loops": n,
                "loss": s.loss,
                "accuracy": s.accuracy,
                **self._bounds(n),
                **{f"{self.task.difficulty_name}={d}": t.accuracy for d, t in s.by_difficulty.items()},
            }
            for n, s in self.scores.items()
        ]

    def _bounds(self, num_loops: int) -> dict[str, float]:
        names = f"{self.quality_name}_low", f"{self.quality_name}_high"
        interval = self.interval(num_loops)
        return {} if interval is None else dict(zip(names, interval, strict=True))


def depth_curve(model: LoopedTransformer, task: Task, recipe: Recipe, split: HeldOut = "validation") -> DepthCurve:
    """Evaluate a split at 1, 2, 4, ... up to ``evaluation.depth_factor`` times the evaluated loop count."""
    eval_loops = sampler(model).eval_loops
    counts = loop_counts(eval_loops, eval_loops * recipe.evaluation.depth_factor)
    return DepthCurve(
        task,
        eval_loops,
        evaluate_counts(model, task, recipe, counts, split),
    )


def loop_counts(eval_loops: int, last: int) -> list[int]:
    """The loop counts of a depth curve up to the last: all to 8, so that a staircase over difficulties shows its steps,
    then powers of two."""
    counts = {n for n in range(1, min(8, last) + 1)} | {2**k for k in range(20) if 2**k <= last}
    return sorted(counts | {eval_loops, last})
