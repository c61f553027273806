"""One looped layer against stacks of layers with as many parameters, on four tasks, three seeds each.

    python benchmarks/loops_or_layers.py                 # about half an hour on two cores
    python benchmarks/loops_or_layers.py --steps 20 --tasks modular_addition     # whether it runs

Every stack has the looped model's width or a smaller one, and feed-forward layers of the size that brings its
parameters within 1 % of the looped model's. Steps, batches, learning rate, seeds and data are the same; floating-point
operations are not, and are printed. Writes the numbers to docs/loops_or_layers.json and the table into docs/tasks.md.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- loops_or_layers: begin -->", "<!-- loops_or_layers: end -->"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Problem:
    """A task, the looped recipe that is tried on it, and the stacks, as (layers, width)."""

    recipe: str
    overrides: tuple[str, ...]
    stacks: tuple[tuple[int, int], ...]


PROBLEMS = {
    "reachability": Problem("gated_loop", (), ((2, 32), (4, 24))),
    "p_hop": Problem(
        "looped",
        ("task.length=32", "task.alphabet=6", "task.max_hops=3", "training.max_steps=4000"),
        ((2, 64), (4, 48)),
    ),
    "modular_addition": Problem("looped", ("task=modular_addition",), ((2, 64), (4, 48))),
    "word_problem": Problem("looped", ("task=word_problem",), ((2, 64), (4, 48))),
}
COMMON = ("evaluation.knockouts=false", "training.num_threads=1")


def recipes(problem: Problem, extra: list[str]) -> dict[str, Any]:
    """The looped recipe and its stacks, by label, at seed 0."""
    from mythos_blocks import load_plugins
    from mythos_lab.recipe import load_recipe
    from mythos_lab.recipe.compose import build_on_meta, validate
    from mythos_lab.recipe.cost import count
    from mythos_lab.search.budgets.hold import Hold, held

    load_plugins()
    looped = load_recipe(problem.recipe, [*problem.overrides, *COMMON, *extra])
    config = looped.model_dump(mode="json")
    layer = config["model"]["core"]["layer"]
    found = {"looped": looped}
    budget = count(build_on_meta(looped)[0])
    for depth, width in problem.stacks:
        stack = {
            **config,
            "model": {
                "kind": config["model"]["kind"],
                "width": width,
                "core": {"depth": depth, "layer": {**layer, "feedforward": {"kind": "swiglu", "hidden": 8}}},
                "initialization": config["model"]["initialization"],
            },
        }
        hold = Hold(budgets={"cost/params": budget}, by="model.core.layer.feedforward.hidden")
        found[f"{depth} layers"] = validate(held(stack, hold, "stack"), "stack")
    return found


def trained(job: tuple[str, str, int, list[str]]) -> dict[str, Any]:
    """One run; what the table needs of it."""
    name, label, seed, extra = job
    from mythos_lab.recipe.cost import cost
    from mythos_lab.training.run import run

    recipe = recipes(PROBLEMS[name], extra)[label]
    recipe = recipe.model_copy(update={"seed": seed, "name": f"{name}-{label.replace(' ', '-')}-{seed}"})
    result = run(recipe)
    total = cost(recipe)
    return {
        "task": name,
        "model": label,
        "seed": seed,
        "status": result.status,
        "params": total.params,
        "training_flops": total.training_flops,
        "eval_loops": None if result.curve is None else result.curve.eval_loops,
        "difficulty": None if result.curve is None else result.curve.task.difficulty_name,
        "chance": None if result.curve is None else result.curve.task.chance,
        "rows": [
            {"split": split, **row}
            for split, curve in (("validation", result.curve), ("ood", result.ood))
            for row in (curve.rows() if curve is not None else [])
        ],
    }


def table(runs: list[dict[str, Any]]) -> str:
    """Accuracy by difficulty, a row a model and loop count: the mean over seeds, and their range if wide."""
    lines: list[str] = []
    for name in PROBLEMS:
        mine = [run for run in runs if run["task"] == name]
        if not mine:
            continue
        axis = f"{mine[0]['difficulty']}="
        columns = []
        for split in ("validation", "ood"):
            first = next((row for row in mine[0]["rows"] if row["split"] == split), {})
            columns += [(split, key) for key in some([key for key in first if key.startswith(axis)])]
        heads = [f"{key.removeprefix(axis)}{'*' if split == 'ood' else ''}" for split, key in columns]
        lines += [
            f"**{name}**: accuracy by {mine[0]['difficulty']} (* beyond training); chance {mine[0]['chance']:.3g}",
            "",
            "| model | parameters | training FLOPs | loops | " + " | ".join(heads) + " |",
            "| --- " * (4 + len(heads)) + "|",
        ]
        for model in dict.fromkeys(run["model"] for run in mine):
            group = [run for run in mine if run["model"] == model]
            loops = sorted({int(row["loops"]) for row in group[0]["rows"]}) if model == "looped" else [1]
            for n in [k for k in loops if k in (1, 2, 3, 4, 8, 16)]:
                cells = []
                for split, key in columns:
                    values = [
                        row[key] for run in group for row in run["rows"] if row["split"] == split and row["loops"] == n
                    ]
                    around = f" ({min(values):.2f}-{max(values):.2f})" if max(values) - min(values) >= 0.02 else ""
                    cells.append(f"{mean(values):.2f}{around}")
                first = (
                    (model, f"{group[0]['params']:,}", f"{group[0]['training_flops']:.1e}")
                    if n == loops[0]
                    else ("",) * 3
                )
                lines.append("| " + " | ".join((*first, str(n), *cells)) + " |")
        lines.append("")
    return "\n".join(lines)


def some(keys: list[str], most: int = 4) -> list[str]:
    """At most so many of the keys, evenly spaced, the last one among them."""
    step = -(-len(keys) // most)
    return keys[::-1][::step][::-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--steps", type=int, help="training steps, for a trial; nothing is written to docs then")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    # Processes, not threads, share the cores: small models gain nothing from threads.
    os.environ["OMP_NUM_THREADS"] = "1"
    extra = (
        [] if arguments.steps is None else [f"training.max_steps={arguments.steps}", "training.schedule.warmup_steps=0"]
    )
    jobs = [
        (name, label, seed, extra)
        for seed in SEEDS
        for name in arguments.tasks
        for label in ("looped", *(f"{depth} layers" for depth, _ in PROBLEMS[name].stacks))
    ]
    runs: list[dict[str, Any]] = []
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for result in pool.map(trained, jobs):
            runs.append(result)
            said = "  ".join(str(result[key]) for key in ("task", "model", "seed", "status"))
            print(f"{len(runs)}/{len(jobs)}  {said}", flush=True)
    whole = arguments.steps is None and set(arguments.tasks) == set(PROBLEMS)
    if whole:
        (DOCS / "loops_or_layers.json").write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    text = table(runs)
    print(text)
    if whole:
        page = (DOCS / "tasks.md").read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        (DOCS / "tasks.md").write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
