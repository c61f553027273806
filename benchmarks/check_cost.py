"""What a run spends before its first step: the effect check, and building its task.

    python -m benchmarks.check_cost              # a minute
    python -m benchmarks.check_cost --quick      # whether it runs

Prints CPU seconds of the effect check on one thread, and of its slowest parts, on recipes at their loops and on Huginn
at the published ones (a mean of 32, arXiv 2502.05171); then how often trials that hold a budget build their task, and
the memory in use after each: a text that fills it is held by one trial at a time.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from mythos_blocks import LoopedTransformer
from mythos_lab.checks import Finding
from mythos_lab.checks.check import CHECKS
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.assembled import assembled_once, task_of
from mythos_lab.recipe.compose import compose, validate
from mythos_lab.recipe.cost import cost_metric
from mythos_lab.recipe.files import find
from mythos_lab.search.budgets.hold import Hold, held
from mythos_lab.tasks.base import Task
from mythos_lab.training.assembly import assemble, effects

PUBLISHED = "model.core.loops={kind: poisson_lognormal, mean: 32, maximum: 128, gradient_window: 8}"
SUBJECTS = {
    "gated_loop": ("gated_loop", []),
    "openmythos": ("openmythos", []),
    "huginn": ("huginn", []),
    "huginn, published loops": ("huginn", [PUBLISHED]),
}
LIMIT = 10.0
"""CPU seconds that the effect check may take at Huginn's published loops."""


def checked(name: str, overrides: list[str]) -> tuple[float, dict[str, float], int]:
    """CPU seconds of the effect check, those of each check, and the iterations that the model's core ran."""
    recipe = load_recipe(name, overrides)
    model, task = assemble(recipe)
    spent: dict[str, float] = {}

    def timed(check: Callable[..., list[Finding]]) -> Callable[..., list[Finding]]:
        def run(assembly: Any) -> list[Finding]:
            begun = time.process_time()
            try:
                return check(assembly)
            finally:
                spent[check.__name__] = time.process_time() - begun

        return run

    plain = list(CHECKS)
    num_iterations = _counted(model)
    CHECKS[:] = [timed(check) for check in plain]
    begun = time.process_time()
    try:
        effects(recipe, model, task)
    finally:
        CHECKS[:] = plain
    return time.process_time() - begun, spent, num_iterations()


def _counted(model: LoopedTransformer) -> Callable[[], int]:
    calls = [0]

    def count(*_: Any) -> None:
        calls[0] += 1

    model.core.layers[0].register_forward_pre_hook(count)
    return lambda: calls[0]


def trials(num: int, num_bytes: int) -> tuple[list[int], list[float]]:
    """How often each of ``num`` trials that hold a budget builds its text task, and MB in use after each."""
    built, used = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text("".join(f"line {i} of many, which is {i * i}\n" for i in range(num_bytes // 30)))
        overrides = [f"task.path={path}", "training.batch_size=4", "task.length=64"]
        config = compose(find("recipes", "looped"), ["task=text", *overrides])
        hold = Hold(budgets={"cost/params": 120_000.0}, by="model.core.layer.feedforward.hidden", tolerance=0.2)
        for trial in range(num):
            config["model"]["width"] = 48 + 8 * trial
            seen: list[Task] = []
            with assembled_once():
                recipe = validate(held(config, hold, "trial"), "trial")
                cost_metric(recipe, "cost/training_flops")
                for seed in range(3):
                    seen.append(assemble(recipe.model_copy(update={"seed": seed}))[1])
                    seen[-1].batch("train", range(4))
                seen.append(task_of(recipe))
            built.append(len({id(task) for task in seen}))
            seen.clear()
            gc.collect()
            used.append(psutil.Process(os.getpid()).memory_info().rss / 1e6)
    return built, used


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="The smallest recipe, and little text.")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    subjects = {"gated_loop": SUBJECTS["gated_loop"]} if options.quick else SUBJECTS
    last = 0.0
    for label, (name, overrides) in subjects.items():
        last, spent, num_iterations = checked(name, overrides)
        slow = ", ".join(f"{check} {s:.1f}" for check, s in sorted(spent.items(), key=lambda x: -x[1])[:3])
        print(f"{label:<26} {last:6.1f} s, {num_iterations} iterations of the model itself; {slow}", flush=True)
    built, used = trials(3 if options.quick else 6, 100_000 if options.quick else 20_000_000)
    print(f"tasks that each of {len(built)} trials with hold built: {built}")
    print(f"memory in use after each, MB: {', '.join(f'{mb:.0f}' for mb in used)}")
    return int(last > LIMIT or max(built) > 1)


if __name__ == "__main__":
    raise SystemExit(main())
