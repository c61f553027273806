"""More loops must change the logits, and tables must reach as far as the loops that are asked for."""

from __future__ import annotations

import torch

from mythos_blocks import NoExit
from mythos_lab.checks.findings import Assembly, Finding


@torch.no_grad()
def depth_has_effect(assembly: Assembly) -> list[Finding]:
    """Logits at every loop count, from 1 to the largest sampled one, against those with one loop more."""
    model = assembly.model.eval()
    model.core.halting.train()  # a rule that stops positions outside training only is not one without effect
    last = model.core.loops.max_loops
    if last == 1:
        return []
    stay = NoExit(model.core.state_width)
    logits = []
    for n in range(1, last + 1):
        out = assembly.forward(n, exit=stay)
        # Read without rounding: where a loop settles, bfloat16 logits stand still long before its state does.
        logits.append(assembly.batch.real_values(model.read(out.halting.readout, out.frame)))
    effective = max((n for n in range(2, last + 1) if not torch.equal(logits[n - 1], logits[n - 2])), default=1)
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
