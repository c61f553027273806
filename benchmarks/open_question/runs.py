"""The runs of the open question, read from their folders, whether or not all of them have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.open_question.arms import HERE, KINDS, METRICS
from mythos_blocks.declaring.registry import make_findable
from mythos_lab.comparison.necessary import DELTAS, Judgement, Matrix, judge
from mythos_lab.recipe import Recipe
from mythos_lab.training.result import RESULT, read_recipe, read_result


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        kind: How its loops are told apart, one of ``KINDS``.
        depth: Loops that it was trained at.
        seed: Its seed.
        steps: Training steps.
        metrics: Its metrics.
        curve: Accuracy and loss by loop count.
        folder: Where it lies.
    """

    kind: str
    depth: int
    seed: int
    steps: int
    metrics: dict[str, float]
    curve: dict[int, dict[str, float]]
    folder: Path


def finished(folder: Path) -> list[Run]:
    """All finished runs below a folder."""
    make_findable("untied", [HERE])  # which the runs' recipes import
    found = []
    for path in sorted(folder.rglob(RESULT)):
        recipe, result = read_recipe(path.parent), read_result(path.parent)
        if result["status"] == "finished":
            curve = {int(row["loops"]): row for row in result["depth_curve"]}
            depth = recipe.model_dump(mode="json")["model"]["core"]["loops"]["num_loops"]
            steps = recipe.training.max_steps
            found.append(Run(_kind(recipe), depth, recipe.seed, steps, result["metrics"], curve, path.parent))
    return found


def of(runs: Sequence[Run], kind: str, depth: int) -> dict[int, Run]:
    """The runs of an arm by seed; at one loop those of the tied block stand for every kind."""
    kind = KINDS[0] if depth == 1 else kind
    return {run.seed: run for run in runs if (run.kind, run.depth) == (kind, depth)}


def judged(runs: Sequence[Run], problem: str, kind: str, depths: Sequence[int]) -> Judgement | None:
    """The necessary depth of a kind; ``None`` while fewer than two depths have runs of the same two seeds."""
    arms = {depth: each for depth in depths if (each := of(runs, kind, depth))}
    seeds = sorted(set.intersection(*map(set, arms.values()))) if len(arms) > 1 else []
    if len(seeds) < 2 or depths[-1] not in arms:
        return None
    metric = METRICS[problem]
    name = metric.removeprefix("val/")
    values = {
        (trained, at): tuple(arm[seed].curve[at][name] for seed in seeds)
        for trained, arm in arms.items()
        for at in arms
    }
    resolution = 1 / 1000 if metric == "val/accuracy" else 0.0  # samples of the validation split
    return judge(Matrix(metric, DELTAS[metric], tuple(seeds), values, resolution=resolution))


def _kind(recipe: Recipe) -> str:
    core = recipe.model_dump(mode="json")["model"]["core"]
    if core["layer"]["kind"] == "untied":
        return "untied"
    adapter = core["depth_adapter"]
    names = {"none": "none", "depth_lora": "scale"}
    return names[adapter["kind"]] if adapter["kind"] in names else f"rank {adapter['rank']}"
