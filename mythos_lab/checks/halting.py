"""The weights of the readout must sum to one."""

from __future__ import annotations

import torch

from mythos_lab.checks.counts import states_by_count
from mythos_lab.checks.findings import Assembly, Finding

# Weights are sums of float32 numbers below one.
_TOLERANCE = 1e-4


@torch.no_grad()
def mass_sums_to_one(assembly: Assembly) -> list[Finding]:
    """The mass that the readout gives away, at every loop count up to the largest sampled one."""
    model = assembly.model.eval()
    if model.core.halting.kind == "none":  # which reads the last state alone
        return []
    off: dict[int, float] = {}
    counts = range(1, model.core.loops.max_loops + 1)
    for n, state in zip(counts, states_by_count(assembly, model.core.exit), strict=False):
        mass = assembly.batch.real_values(torch.stack(state.halting.weights).sum(0))
        if float((mass - 1).abs().max()) > _TOLERANCE:
            off[n] = float(mass.mean())
    if not off:
        return []
    worst = min(off, key=lambda n: off[n])
    return [
        Finding(
            "halting.mass",
            f"halting mass is not 1 at {len(off)} of {model.core.loops.max_loops} loop counts; "
            f"at {worst} it is {off[worst]:.3f}, which scales the readout",
        )
    ]
