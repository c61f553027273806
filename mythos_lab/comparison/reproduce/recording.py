"""From a settled study to the record of its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.reproduce.bands import Finding
from mythos_lab.comparison.reproduce.fits import HeldFit
from mythos_lab.comparison.reproduce.protocol import Protocol
from mythos_lab.comparison.reproduce.readings import DIVERGED
from mythos_lab.comparison.reproduce.record import DISTINCT, FLOPS, PARAMS, USED, Held, HeldVerdict, Record
from mythos_lab.comparison.reproduce.runs import Runs
from mythos_lab.comparison.table import said_of
from mythos_lab.search.spaces.space import Space


def recorded(
    protocol: Protocol,
    size: str,
    space: Space,
    runs: Runs,
    findings: Sequence[Finding],
    fits: Mapping[str, HeldFit],
    compared: Mapping[str, Comparison],
    lost: Mapping[str, str],
) -> Record:
    """The record of a study's page."""
    ((metric, _),) = protocol.objectives.items()
    return Record(
        name=protocol.name,
        title=protocol.title,
        question=protocol.question,
        size=size,  # type: ignore[arg-type]  # the protocol has been run at it
        side_by_side=protocol.side_by_side,
        metric=metric,
        num_runs=runs.num,
        seeds=space.file.seeds,
        readings=_readings(protocol, metric, runs),
        bands=[_band(finding) for finding in findings],
        fits=dict(fits),
        verdicts=[_verdict(arm, comparison) for arm, comparison in compared.items()],
        not_trained=dict(lost),
        held_by={
            arm: {path: space.file.arms[arm][path] for path in declared.hold.paths}
            for arm, declared in protocol.arms.items()
            if declared.hold is not None
        },
    )


def _readings(protocol: Protocol, metric: str, runs: Runs) -> dict[str, dict[str, dict[str, float | None]]]:
    """All that the page shows of an arm."""
    found = {}
    for arm in protocol.arms:
        reads = dict.fromkeys([metric, PARAMS, FLOPS, USED, DISTINCT, DIVERGED])
        for shown in protocol.tables:
            if arm in (shown.arms or protocol.arms):
                rows: list[str | None] = [*shown.rows] or [None]
                for row in rows:
                    reads |= dict.fromkeys(shown.readings(row).values())
        found[arm] = {
            read: {str(seed): _finite(value) for seed, value in runs.by_seed(arm, read).items()} for read in reads
        }
    return found


def _band(finding: Finding) -> Held:
    return Held(
        claim=finding.band.claim,
        band=finding.allowed,
        values=list(finding.values),
        low=_finite(finding.low),
        high=_finite(finding.high),
        outcome=finding.outcome,
        fit=finding.band.of.fit,
    )


def _verdict(arm: str, comparison: Comparison) -> HeldVerdict:
    v = comparison.verdict
    return HeldVerdict(
        arm=arm,
        difference=v.difference,
        low=_finite(v.low),
        high=_finite(v.high),
        level=v.shown_level,
        p=v.p_adjusted,
        verdict=said_of(comparison),
        undeclared=comparison.undeclared,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
