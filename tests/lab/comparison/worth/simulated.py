"""Sweeps whose truth is known."""

import numpy as np

from mythos_lab.comparison.worth import Cell

TRUTH = {"phi": 0.46, "alpha": 0.34, "beta": 0.28, "E": 1.7, "A": 88.0, "B": 57.0}
"""Exponents of arXiv 2604.21106 and 2203.15556; terms of .5 to 1 nats at the sizes below."""


def sweep(
    rng,
    *,
    noise=0.005,
    widths=(64, 96, 128, 192),
    loops=(1, 2, 4, 8),
    tokens=(10**6, 4 * 10**6, 16 * 10**6),
    num_seeds=3,
    misfit=lambda cell: 1.0,
    **truth,
):
    """Ten layers of ``12 width^2`` parameters, eight of them looped or not; losses of the law, times log-normal noise."""
    t = TRUTH | truth
    cells = []
    for width in widths:
        for r in loops:
            for d in tokens:
                once, rec = 24 * width**2, 12 * width**2 * 8 // r
                loss = t["E"] + t["A"] * (once + r ** t["phi"] * rec) ** -t["alpha"] + t["B"] * d ** -t["beta"]
                cell = Cell(once, rec, r, d, {})
                losses = loss * misfit(cell) * np.exp(noise * rng.normal(size=num_seeds))
                cells.append(Cell(once, rec, r, d, dict(enumerate(losses.tolist()))))
    return cells


def covered(fit, truth):
    """Whether each parameter's interval holds the truth, by name."""
    return {name: e.low <= truth[name] <= e.high for name, e in fit.parameters.items()}
