"""A sweep's plan and its outcome, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mythos_lab.comparison.worth.fit import Estimate
from mythos_lab.comparison.worth.sweep import Sweep, SweepArm
from mythos_lab.comparison.worth.worth import Worth


def print_plan(sweep: Sweep, written: Path) -> None:
    """Models and budgets, and what all of it costs."""
    console = Console()
    models: dict[tuple[int, int], list[SweepArm]] = {}
    for arm in sweep.arms.values():
        models.setdefault((arm.width, arm.loops), []).append(arm)
    table = Table(
        "width",
        "loops",
        "N_once",
        "N_rec",
        "steps",
        "FLOPs a run",
        title=f"{sweep.name}: {sweep.num_layers} layers",
        box=None,
    )
    for (width, loops), arms in models.items():
        steps = ", ".join(f"{arm.steps:,}" for arm in arms)
        flops = ", ".join(f"{arm.training_flops:.2g}" for arm in arms)
        table.add_row(str(width), str(loops), f"{arms[0].num_once:,}", f"{arms[0].num_rec:,}", steps, flops)
    console.print(table)
    for note in sweep.notes:
        console.print(note, highlight=False, soft_wrap=True)
    console.print(
        f"{sweep.num_runs} runs: {len(sweep.arms)} arms of {sweep.num_seeds} seed{'s' * (sweep.num_seeds > 1)}, "
        f"{sweep.training_flops:.3g} FLOPs",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"study:  {written}", highlight=False, soft_wrap=True)


def print_worth(worth: Worth, files: Sequence[Path] = ()) -> None:
    """Cells, the law's parameters, equivalent sizes, and what can be said."""
    console = Console()
    fit = worth.fit
    table = Table(
        "N_once", "N_rec", "loops", "tokens", "seeds", "loss", "95 %", "law", title="cells (nats per token)", box=None
    )
    for cell, predicted in zip(fit.cells, fit.predicted, strict=True):
        low, high = cell.interval()
        losses = list(cell.losses.values())
        between = f"{low:.4f} to {high:.4f}" if math.isfinite(low) else ""
        table.add_row(
            f"{cell.num_once:,}", f"{cell.num_rec:,}", f"{cell.loops:g}", f"{cell.tokens:,}", str(len(losses)),
            f"{sum(losses) / len(losses):.4f}", between, f"{predicted:.4f}",
        )  # fmt: skip
    console.print(table)
    console.print("L = E + A (N_once + r^phi N_rec)^-alpha + B D^-beta", highlight=False, soft_wrap=True)
    table = Table("", "fitted", "95 %", box=None)
    for name, estimate in fit.parameters.items():
        table.add_row(name, f"{estimate.value:.4g}", _between(estimate, ".4g"))
    console.print(table)
    if worth.equivalents:
        table = Table(
            "stored",
            "loops",
            "equals",
            "95 %",
            "unrolled",
            title=f"equivalent unique parameters ({worth.counted})",
            box=None,
        )
        for cell, estimate in worth.equivalents:
            unrolled = cell.num_once + cell.num_rec * cell.loops
            table.add_row(
                f"{cell.num_stored:,}",
                f"{cell.loops:g}",
                f"{estimate.value:,.0f}",
                _between(estimate, ",.0f"),
                f"{unrolled:,.0f}",
            )
        console.print(table)
    left = worth.gathered.left_out
    if left:
        reasons = ", ".join(f"{list(left.values()).count(reason)} {reason}" for reason in dict.fromkeys(left.values()))
        console.print(f"left out: {reasons}", highlight=False, soft_wrap=True)
    console.print(worth.judgement.sentence, highlight=False, soft_wrap=True)
    for flag in worth.judgement.flags:
        console.print(f"  {flag}", highlight=False, soft_wrap=True)
    for path in files:
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


def _between(estimate: Estimate, form: str) -> str:
    low = format(estimate.low, form) if math.isfinite(estimate.low) else "open"
    high = format(estimate.high, form) if math.isfinite(estimate.high) else "open"
    return f"{low} to {high}"
