"""How often 95 % intervals of phi hold the truth, by how they are made: simulated sweeps, several kinds of noise.

    python benchmarks/worth_intervals.py                   # half an hour, on one core
    python benchmarks/worth_intervals.py --sweeps 20       # whether it runs

Sweeps follow the law with phi = .46 but for the noise of their runs, three seeds a cell. Prints, for each form and each
kind of noise, how often the interval holds the truth and how wide it is in the median. Quoted in docs/notebook.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mythos_lab.comparison.worth import Cell, fit_law
from mythos_lab.comparison.worth.law import Law
from mythos_lab.comparison.worth.solver import minimise

PHI, ALPHA, BETA, E, A, B = 0.46, 0.34, 0.28, 1.7, 88.0, 57.0
NUM_SEEDS, NUM_RESAMPLES = 3, 200
DESIGNS = {
    48: ((64, 96, 128, 192), (1, 2, 4, 8)),
    18: ((64, 128), (1, 2, 4)),
}
"""Widths and loop counts by the number of cells, with three token budgets."""

Ends = tuple[float, float]
Rng = np.random.Generator


def sweep(rng: Rng, kind: str, noise: float, widths: tuple[int, ...], loops: tuple[int, ...]) -> list[Cell]:
    """A sweep of ten layers, eight of them looped or not."""
    shared = rng.normal(size=NUM_SEEDS)
    cells = []
    for width in widths:
        for r in loops:
            for tokens in (10**6, 4 * 10**6, 16 * 10**6):
                once, rec = 24 * width**2, 12 * width**2 * 8 // r
                loss = E + A * (once + r**PHI * rec) ** -ALPHA + B * tokens**-BETA
                size = _noise(rng, kind, shared, width)
                cells.append(Cell(once, rec, r, tokens, dict(enumerate((loss * np.exp(noise * size)).tolist()))))
    return cells


def _noise(rng: Rng, kind: str, shared: NDArray[Any], width: int) -> NDArray[Any]:
    normal = rng.normal(size=NUM_SEEDS)
    if kind == "smaller models are noisier":
        return normal * (width / 100) ** -1.2
    if kind == "seeds share half of it":
        return (normal + shared) / np.sqrt(2)
    if kind == "heavy-tailed (t, 3)":
        return rng.standard_t(3, size=NUM_SEEDS) / np.sqrt(3)
    if kind == "3 % gone wrong":
        return normal + (rng.random(NUM_SEEDS) < 0.03) * rng.exponential(8, size=NUM_SEEDS)
    return normal


NOISES = ("normal", "smaller models are noisier", "seeds share half of it", "heavy-tailed (t, 3)", "3 % gone wrong")


def profile(delta: float | None) -> Callable[[list[Cell], Rng], Ends]:
    """The interval that is used, at a threshold of the Huber loss."""

    def ends(cells: list[Cell], rng: Rng) -> Ends:
        phi = fit_law(cells, delta, ["phi"]).phi
        assert phi is not None
        return phi.low, phi.high

    return ends


def bootstrap(resample: Callable[[list[Cell], NDArray[Any], Rng], NDArray[Any]]) -> Callable[[list[Cell], Rng], Ends]:
    """Percentiles over fits to resampled log losses of the cells, ``(resamples, cells)``."""

    def ends(cells: list[Cell], rng: Rng) -> Ends:
        law, theta, fit = _fitted(cells)
        targets = resample(cells, np.log(fit.predicted), rng)
        found, _ = minimise(law, targets, np.tile(theta, (len(targets), 1)), law.free, fit.delta)
        return _percentiles(found[:, 0])

    return ends


def over_seeds(cells: list[Cell], predicted: NDArray[Any], rng: Rng) -> NDArray[Any]:
    """Seeds drawn again within each cell."""
    logs = np.log([list(cell.losses.values()) for cell in cells])
    drawn = rng.integers(0, NUM_SEEDS, (NUM_RESAMPLES, *logs.shape))
    return np.take_along_axis(np.broadcast_to(logs, drawn.shape), drawn, 2).mean(-1)


def over_residuals(cells: list[Cell], predicted: NDArray[Any], rng: Rng) -> NDArray[Any]:
    """Residuals of the cells drawn again, made as large as those of the truth."""
    residuals = np.array([cell.log_loss for cell in cells]) - predicted
    residuals = (residuals - residuals.mean()) * np.sqrt(len(cells) / (len(cells) - 6))
    return predicted + rng.choice(residuals, (NUM_RESAMPLES, len(cells)))


def over_cells(cells: list[Cell], rng: Rng) -> Ends:
    """Percentiles over fits to cells drawn again, seeds inside."""
    _, theta, fit = _fitted(cells)
    found = []
    for _ in range(NUM_RESAMPLES):
        drawn = [cells[i] for i in rng.integers(0, len(cells), len(cells))]
        law = Law.of(drawn)
        targets = np.array([cell.log_loss for cell in drawn])
        found.append(minimise(law, targets, theta[None], law.free, fit.delta)[0][0, 0])
    return _percentiles(np.array(found))


def _fitted(cells: list[Cell]) -> tuple[Law, NDArray[Any], Any]:
    fit = fit_law(cells, intervals=[])
    values = [fit.parameters[name].value for name in ("phi", "alpha", "beta", "E", "A", "B")]
    return Law.of(cells), np.array([*values[:3], *np.log(values[3:])]), fit


def _percentiles(values: NDArray[Any]) -> Ends:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


FORMS = {
    "profile": profile(None),
    "profile, delta 1e-3": profile(1e-3),
    "profile, least squares": profile(1e9),
    "bootstrap of seeds": bootstrap(over_seeds),
    "bootstrap of residuals": bootstrap(over_residuals),
    "bootstrap of cells": over_cells,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.01, help="standard deviation of a run's log loss")
    parser.add_argument("--cells", type=int, nargs="*", choices=[*DESIGNS], default=[*DESIGNS])
    parser.add_argument("--forms", nargs="*", choices=[*FORMS], default=[*FORMS])
    arguments = parser.parse_args()
    for num_cells in arguments.cells:
        widths, loops = DESIGNS[num_cells]
        print(f"\n{num_cells} cells | " + " | ".join(NOISES))
        for form in arguments.forms:
            row = []
            for kind in NOISES:
                rng = np.random.default_rng(0)
                drawn = [sweep(rng, kind, arguments.noise, widths, loops) for _ in range(arguments.sweeps)]
                found = np.array([FORMS[form](cells, rng) for cells in drawn])
                held = np.mean((found[:, 0] <= PHI) & (found[:, 1] >= PHI))
                row.append(f"{held:.3f} ({np.median(found[:, 1] - found[:, 0]):.3f})")
            print(f"{form} | " + " | ".join(row), flush=True)


if __name__ == "__main__":
    main()
