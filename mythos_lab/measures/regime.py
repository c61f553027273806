"""Where the loop goes if it is let run: to a point, round an orbit, or on and on."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Loops, Positive
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.jacobian import refuses_jacobian, states
from mythos_lab.measures.samples import rows_of
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import METRICS

REGIMES = ("settles", "orbits", "drifts")

_FEWEST = 12  # iterations that tell a fall from a wobble


@component("measure", "regime")
class Regime(Measure):
    """Shares of sequences whose state settles, orbits or drifts, seen after each whole iteration: one layer position.

    With ``d_t = |h_t - h_{t-1}|`` over the positions of a sequence, in the last third of the iterations: it settles
    where d is below ``tolerance`` of ``|h|``, or falls by a steady factor below 1; it orbits where it comes back to
    where it was p > 1 iterations ago, to a tenth of d; else it drifts.

    Args:
        num_loops: Iterations to run; ``null`` runs four times the evaluated loop count, and at least 32.
        tolerance: Share of the state's norm below which a step is none.
    """

    quantities = {f"stability/{name}": METRICS[f"stability/{name}"] for name in REGIMES}
    source = "arXiv 2604.11791"
    null = "Settles in the first iteration, of the identity loop."
    deceives = (
        "Seen after each layer instead of each iteration, a mix of layers looks like an orbit. What settles may do so "
        "in all that the readout does not read, and what drifts in nothing else."
    )

    def __init__(self, *, num_loops: Loops | None = None, tolerance: Positive = 1e-3) -> None:
        self.num_loops, self.tolerance = num_loops, tolerance

    def refuses(self, subject: Subject) -> str | None:
        if (num := self._num_loops(subject)) < _FEWEST:
            return f"{num} iterations do not tell where the loop goes; expected {_FEWEST} or more"
        return refuses_jacobian(subject)

    def measure(self, subject: Subject) -> Outcome:
        batch = subject.samples.batches[0]
        batch = rows_of(batch, torch.arange(min(16, len(batch.tokens))))
        real = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.real is None else batch.real
        path = torch.stack(
            [(s.h * real[..., None]).flatten(1).float() for s in states(subject, batch, self._num_loops(subject))]
        )
        found = [regime(path[:, i], self.tolerance) for i in range(path.shape[1])]
        shares = {name: found.count(name) / len(found) for name in REGIMES}
        said = ", ".join(f"{share:.0%} {name}" for name, share in shares.items() if share)
        values = (Value(f"stability/{name}", share) for name, share in shares.items())
        return self.outcome(f"after {len(path) - 1} iterations: {said} of {len(found)} sequences", *values)

    def _num_loops(self, subject: Subject) -> int:
        wanted, last = self.num_loops or max(4 * subject.num_loops, 32), subject.model.core.last_index
        return wanted if last is None else min(wanted, last + 1)


def regime(path: Tensor, tolerance: float) -> str:
    """Where a trajectory goes, one of :data:`REGIMES`.

    Args:
        path: States, ``(steps + 1, size)``.
        tolerance: Share of the state's norm below which a step is none.
    """
    if not bool(path.isfinite().all()):
        return "drifts"
    steps = (path[1:] - path[:-1]).norm(dim=1)
    tail = steps[-max(4, len(steps) // 3) :]
    if bool((tail[-2:] <= tolerance * path[-2:].norm(dim=1)).all()):
        return "settles"
    slope = float((tail[-1] / tail[0]).log() / (len(tail) - 1))
    falling = float((tail[1:] < tail[:-1]).float().mean())
    if slope < -1e-3 and falling > 0.9:
        return "settles"
    back = (path[-1] - path[:-2]).norm(dim=1)
    if bool((back <= 0.1 * tail[-1]).any()):
        return "orbits"
    return "drifts"
