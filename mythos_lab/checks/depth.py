"""More loops must change the logits, and tables must reach as far as the loops that are asked for."""

from __future__ import annotations

import torch

from mythos_lab.checks.counts import states_by_count
from mythos_lab.checks.findings import Assembly, Finding


@torch.no_grad()
def depth_has_effect(assembly: Assembly) -> list[Finding]:
    """Logits at every loop count, from 1 to the largest sampled one, against those with one loop more."""
    model = assembly.model.eval()
    model.core.halting.train()  # a rule that stops positions outside training only is not one without effect
    last = model.core.loops.max_loops
    effective, before = 1, None
    for n, state in zip(range(1, last + 1), states_by_count(assembly), strict=False):
        # Read without rounding: where a loop settles, bfloat16 logits stand still long before its state does.
        logits = assembly.batch.real_values(model.read(state.halting.readout, state.frame))
        if before is not None and not torch.equal(logits, before):
            effective = n
        before = logits
    if effective == last:
        return []
    return [
        Finding(
            "depth.no_effect",
            f"iterations {effective + 1}-{last} have no effect: "
            f"logits at {effective} and at {last} loops are bit-identical",
        )
    ]


def tables_reach(assembly: Assembly) -> list[Finding]:
    """Tables with a row for each iteration against the largest loop count that training draws."""
    core = assembly.model.core
    return [
        Finding("tables.reach", f"core.{slot} has {reach} rows, and training draws up to {core.loops.max_loops} loops")
        for slot in ("depth_signal", "depth_adapter")
        if (reach := getattr(core, slot).reach) is not None and reach < core.loops.max_loops
    ]
