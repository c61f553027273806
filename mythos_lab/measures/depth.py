"""The depth curve: quality against the number of loops, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from mythos_blocks import LoopedTransformer
from mythos_lab.measures.evaluate import Scores, evaluate, sampler
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import HeldOut, Task


@dataclass(frozen=True)
class DepthCurve:
    """Scores at each loop count.

    Attributes:
        quality_name: ``"accuracy"`` for tasks with a chance level, else ``"loss"``.
        eval_loops: The loop count at which the model is evaluated by default.
        chance: Accuracy of guessing, where it has a meaning.
        difficulty_name: What the difficulty axis counts.
        scores: Scores by loop count.
    """

    quality_name: str
    eval_loops: int
    chance: float | None
    difficulty_name: str | None
    scores: dict[int, Scores]

    def quality(self, num_loops: int) -> float:
        """Accuracy, or the negative loss in nats: higher is better."""
        scores = self.scores[num_loops]
        return scores.accuracy if self.quality_name == "accuracy" else -scores.loss

    def metrics(self) -> dict[str, float]:
        """Gain, useful depth and overthinking."""
        qualities = {n: self.quality(n) for n in self.scores}
        best = max(qualities.values())
        return {
            "loops/gain": qualities[self.eval_loops] - qualities[min(qualities)],
            "loops/useful_depth": float(min(n for n, q in qualities.items() if q >= best - 0.01 * abs(best))),
            "loops/overthinking": best - qualities[max(qualities)],
        }

    def rows(self) -> list[dict[str, float]]:
        """One row a loop count, for tables and JSON."""
        return [
            {
                "loops": n,
                "loss": s.loss,
                "accuracy": s.accuracy,
                **{f"{self.difficulty_name}={d}": a for d, a in s.by_difficulty.items()},
            }
            for n, s in self.scores.items()
        ]


def depth_curve(model: LoopedTransformer, task: Task, recipe: Recipe, split: HeldOut = "validation") -> DepthCurve:
    """Evaluate a split at 1, 2, 4, ... up to ``evaluation.depth_factor`` times the evaluated loop count.

    Up to eight loops every count is taken, so that a staircase over difficulties shows its steps.
    """
    eval_loops = sampler(model).eval_loops
    last = eval_loops * recipe.evaluation.depth_factor
    counts = {n for n in range(1, min(8, last) + 1)} | {2**k for k in range(20) if 2**k <= last} | {eval_loops, last}
    return DepthCurve(
        quality_name="loss" if task.chance is None else "accuracy",
        eval_loops=eval_loops,
        chance=task.chance,
        difficulty_name=task.difficulty_name,
        scores={n: evaluate(model, task, recipe, iterations=n, split=split) for n in sorted(counts)},
    )
