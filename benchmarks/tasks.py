"""Speed of the task generators: samples a second, and their share of a small model's training step.

    python benchmarks/tasks.py

Prints two tables: every generated task at its defaults against one training step of ``looped`` (width 64, batch 64);
and our generators against plain loops over samples (plain_generators.py) of the same distribution. Everything runs in
one process on one thread, interleaved; figures are medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import plain_generators
import torch
from rich.console import Console
from rich.table import Table

from mythos_blocks import AttentionMask, Final, load_plugins
from mythos_blocks.declaring.registry import slots
from mythos_lab.recipe import load_recipe
from mythos_lab.tasks import Generated
from mythos_lab.tasks.randomness import CHUNK, generator

BATCH = 64
console = Console(width=110)


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def step_of(task: Generated) -> Callable[[], None]:
    """One training step of the recipe ``looped`` on a batch of the task."""
    recipe = load_recipe("looped")
    model = recipe.model_spec().build(task.vocab_size)
    model.initialize(0)
    optimizer = torch.optim.AdamW(model.parameters())
    batch = task.batch("train", range(BATCH))
    num_loops = round(model.core.loops.mean)

    def step() -> None:
        optimizer.zero_grad()
        out = model(batch.tokens, AttentionMask(causal=batch.allowed is None, allowed=batch.allowed), num_loops)
        Final().loss(model, out, batch.targets).backward()
        optimizer.step()

    step()
    return step


def shares(repeats: int) -> Table:
    table = Table("task", "samples/s", "ms a batch of 64", "ms a step", "share of the step", title="generators")
    for kind, component in sorted(slots()["task"].kinds.items()):
        if not issubclass(component, Generated):
            continue
        task = component()
        step = step_of(task)
        made, stepped = [], []
        for repeat in range(repeats):
            # A fresh chunk each time, split by hash and all; a step takes its share of it.
            made.append(seconds(lambda task=task, repeat=repeat: task._make_chunk("train", repeat + 1)))
            stepped.append(seconds(step))
        per_batch = median(made) * BATCH / CHUNK
        table.add_row(
            kind,
            f"{CHUNK / median(made):,.0f}",
            f"{1e3 * per_batch:.2f}",
            f"{1e3 * median(stepped):.0f}",
            f"{per_batch / median(stepped):.1%}",
        )
    return table


def against_plain(repeats: int) -> Table:
    kinds = slots()["task"].kinds
    rng = np.random.default_rng(0)
    mqar = kinds["mqar"](as_published=True)
    recall, copying = kinds["mad_in_context_recall"](), kinds["mad_selective_copying"]()
    graphs = kinds["reachability_as_published"]()

    def ours(task: Generated, num: int) -> Callable[[], Any]:
        return lambda: task.draw(generator(0, "audit", 9), num, "test")

    rows: list[tuple[str, int, Callable[[], Any], Callable[[], Any]]] = [
        (
            "MQAR, length 64, 4 pairs",
            20_000,
            ours(mqar, 20_000),
            lambda: plain_generators.mqar(np.random.RandomState(0), 20_000, 64, 4, 8192),
        ),
        (
            "MAD recall in context, length 128",
            2_000,
            ours(recall, 2_000),
            lambda: plain_generators.in_context_recall(rng, 2_000, 128, 16),
        ),
        (
            "MAD selective copying, length 256",
            2_000,
            ours(copying, 2_000),
            lambda: plain_generators.selective_copying(rng, 2_000, 256, 16, 16),
        ),
        (
            "reachability as published, 5 hops",
            2_000,
            ours(graphs, 2_000),
            lambda: plain_generators.reachability(rng, 2_000, 8, 16, 5),
        ),
    ]
    table = Table("generator", "samples", "ours, s", "plain loop, s", "ratio", title="against plain loops over samples")
    for name, num, fast, plain in rows:
        times = [(seconds(fast), seconds(plain)) for _ in range(repeats)]
        a, b = (median(column) for column in zip(*times, strict=True))
        table.add_row(name, f"{num:,}", f"{a:.3f}", f"{b:.2f}", f"{b / a:.0f}x")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    load_plugins()
    console.print(against_plain(repeats))
    console.print(shares(repeats))


if __name__ == "__main__":
    main()
