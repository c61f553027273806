"""rho(A) must stay below one in the state's dtype, wherever training takes the parameters."""

from __future__ import annotations

import copy

import torch

from mythos_lab.checks.findings import Assembly, Finding

# A step no optimiser takes, to find the closest that the parametrisation lets rho come to one.
_FAR = 1e3


@torch.no_grad()
def rho_stays_below_one(assembly: Assembly) -> list[Finding]:
    """rho(A) at the initial weights, and after a huge step of every parameter in either direction."""
    findings = []
    limit = assembly.recipe.stability.max_spectral_radius
    for where, shift in (
        ("at the initial weights", 0.0),
        (f"after a step of {_FAR:g}", _FAR),
        (f"after a step of -{_FAR:g}", -_FAR),
    ):
        injection = copy.deepcopy(assembly.model.core.injection)
        for parameter in injection.parameters():
            parameter.add_(shift)
        rho = injection.rho()
        if rho is None:
            return []
        value = float(rho)
        if not value < min(1.0, limit):
            findings.append(
                Finding(
                    "stability.rho",
                    f"rho(A) is {value:g} {where} in {str(rho.dtype).removeprefix('torch.')}, "
                    f"and must stay below {min(1.0, limit):g}",
                )
            )
    return findings
