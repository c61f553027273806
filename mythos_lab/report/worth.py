"""The figure of what a recurrence is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mythos_lab.report.plotting import drawn, literal

_MARKERS = "osD^vP*X"


def worth_figure(
    *,
    sizes: Sequence[float],
    loops: Sequence[float],
    tokens: Sequence[int],
    losses: Sequence[Sequence[float]],
    law: Mapping[str, float],
    title: str,
    path: Path,
) -> Path:
    """Loss against effective parameters, ``N_once + r^phi N_rec``: if the law holds, one line for each token budget.

    Args:
        sizes: Effective parameters of each cell.
        loops: Loop count of each cell, which its marker shows.
        tokens: Training tokens of each cell, which its colour shows.
        losses: Losses of each cell's seeds.
        law: The fitted parameters by name; ``B`` and ``beta`` may be missing.
        title: Above the axes.
        path: Where the PNG goes.

    Returns:
        The path.
    """
    with drawn(path, 6.4, 4.4) as axes:
        from matplotlib import colormaps
        from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

        budgets, counts = sorted(set(tokens)), sorted(set(loops))
        colours = colormaps["viridis"](np.linspace(0.0, 0.85, len(budgets)))
        line = np.geomspace(min(sizes) / 1.1, max(sizes) * 1.1, 200)
        for budget, colour in zip(budgets, colours, strict=True):
            data = law["B"] * budget ** -law["beta"] if "B" in law else 0.0
            axes.plot(
                line,
                law["E"] + law["A"] * line ** -law["alpha"] + data,
                color=colour,
                linewidth=1,
                label=f"{budget:,} tokens",
            )
        for size, count, budget, values in zip(sizes, loops, tokens, losses, strict=True):
            colour, marker = colours[budgets.index(budget)], _MARKERS[counts.index(count) % len(_MARKERS)]
            axes.plot([size, size], [min(values), max(values)], color=colour, linewidth=0.8)
            axes.plot(
                size,
                np.mean(values),
                marker,
                color=colour,
                markersize=5,
                markerfacecolor="none" if count == 1 else colour,
            )
        for i, count in enumerate(counts):
            label = "no loop" if count == 1 else f"{count:g} loops"
            axes.plot(
                [],
                [],
                _MARKERS[i % len(_MARKERS)],
                color="grey",
                markerfacecolor="none" if count == 1 else "grey",
                label=label,
            )
        axes.set(
            xscale="log",
            xlabel="N_once + r^phi N_rec (parameters)",
            ylabel="validation loss (nats per token)",
            title=literal(title),
        )
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False, fontsize="small")
    return path
