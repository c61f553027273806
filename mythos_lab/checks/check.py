"""The effect check: every check, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mythos_blocks.model.modes import keeping_modes
from mythos_lab.checks.depth import depth_has_effect, tables_reach
from mythos_lab.checks.findings import Assembly, Finding
from mythos_lab.checks.gradient import parameters_learn
from mythos_lab.checks.growth import state_stays_bounded
from mythos_lab.checks.halting import mass_sums_to_one
from mythos_lab.checks.sampling import loops_have_declared_mean, seeds_act
from mythos_lab.checks.splits import splits_share_nothing
from mythos_lab.checks.stability import rho_stays_below_one
from mythos_lab.checks.step import gradient_is_clipped, schedule_is_held, terms_are_minimised
from mythos_lab.checks.task import no_shortcut_solves_it
from mythos_lab.checks.width import base_acts

CHECKS: list[Callable[[Assembly], list[Finding]]] = [
    parameters_learn,
    depth_has_effect,
    mass_sums_to_one,
    loops_have_declared_mean,
    tables_reach,
    rho_stays_below_one,
    state_stays_bounded,
    no_shortcut_solves_it,
    schedule_is_held,
    gradient_is_clipped,
    terms_are_minimised,
    seeds_act,
    splits_share_nothing,
    base_acts,
]


def check(assembly: Assembly) -> list[Finding]:
    """Run every check; findings that the recipe waives are marked. The model is left as it was."""
    with keeping_modes(assembly.model):
        findings = [finding for one in CHECKS for finding in one(assembly)]
    assembly.model.zero_grad(set_to_none=True)
    return [replace(finding, waived=finding.code in assembly.recipe.waive) for finding in findings]
