"""What a recurrence is worth, from the runs of a sweep: the fit, what follows from it, and the files that keep it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mythos_lab.comparison.worth.cells import Cell
from mythos_lab.comparison.worth.counts import Counted
from mythos_lab.comparison.worth.fit import Estimate, Fit, fit_law
from mythos_lab.comparison.worth.judgement import Judgement, judge
from mythos_lab.comparison.worth.read import Gathered, gather
from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.report.worth import worth_figure

NUMBERS, FIGURE = "worth.json", "worth.png"


@dataclass(frozen=True)
class Worth:
    """A measured sweep.

    Attributes:
        gathered: The runs.
        counted: Which parameters count.
        fit: The law.
        judgement: What follows.
        equivalents: For each model with loops its cell on the least tokens, and the parameters of the plain stack that
            it equals; empty where phi is not fitted.
    """

    gathered: Gathered
    counted: Counted
    fit: Fit
    judgement: Judgement
    equivalents: tuple[tuple[Cell, Estimate], ...]


def measure(folder: Path, counted: Counted = "non_embedding", delta: float | None = None) -> Worth:
    """Fit the law to the runs below a folder.

    Raises:
        RecipeError: The runs are no sweep, or too few.
    """
    gathered = gather(folder, counted)
    try:
        fit = fit_law(gathered.cells, delta)
    except ValueError as error:
        raise RecipeError(f"{folder}: {error}") from None
    return Worth(gathered, counted, fit, judge(fit, gathered), tuple(_equivalents(fit)))


def save(worth: Worth, folder: Path) -> tuple[Path, Path]:
    """Write the numbers and the figure; returns both paths."""
    numbers = folder / NUMBERS
    write_whole(numbers, json.dumps(_numbers(worth), indent=1, allow_nan=False))
    fit = worth.fit
    phi = 0.0 if fit.phi is None else fit.phi.value
    figure = worth_figure(
        sizes=[cell.num_once + cell.num_rec * cell.loops**phi for cell in fit.cells],
        loops=[cell.loops for cell in fit.cells],
        tokens=[cell.tokens for cell in fit.cells],
        losses=[list(cell.losses.values()) for cell in fit.cells],
        law={name: estimate.value for name, estimate in fit.parameters.items()},
        title=_title(fit.phi),
        path=folder / FIGURE,
    )
    return numbers, figure


def _equivalents(fit: Fit) -> list[tuple[Cell, Estimate]]:
    if fit.phi is None:
        return []
    models = {(cell.num_once, cell.num_rec, cell.loops): cell for cell in reversed(fit.cells) if cell.loops > 1}
    return [(models[key], fit.equivalent(models[key])) for key in sorted(models)]


def _title(phi: Estimate | None) -> str:
    if phi is None:
        return "phi is not fitted; drawn at phi = 0"
    return f"phi = {phi.value:.2f} [{phi.low:.2f}, {phi.high:.2f}]"


def _numbers(worth: Worth) -> dict[str, Any]:
    fit = worth.fit
    return {
        "law": "L = E + A (N_once + r^phi N_rec)^-alpha + B D^-beta",
        "counted": worth.counted,
        "told": worth.judgement.told,
        "sentence": worth.judgement.sentence,
        "flags": list(worth.judgement.flags),
        "parameters": {name: _estimate(estimate) for name, estimate in fit.parameters.items()},
        "confidence": 0.95,
        "huber_delta": fit.delta,
        "degrees_of_freedom": fit.freedom,
        "scatter": _finite(fit.scatter),
        "cells": [
            {**asdict(cell), "predicted": predicted} for cell, predicted in zip(fit.cells, fit.predicted, strict=True)
        ],
        "equivalents": [
            {"num_once": cell.num_once, "num_rec": cell.num_rec, "loops": cell.loops, "params": _estimate(estimate)}
            for cell, estimate in worth.equivalents
        ],
        "left_out": {str(run): reason for run, reason in worth.gathered.left_out.items()},
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    """JSON has no infinity: an open end is null."""
    return {name: _finite(value) for name, value in asdict(estimate).items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
