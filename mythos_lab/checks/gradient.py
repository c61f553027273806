"""Every parameter must learn."""

from __future__ import annotations

import torch
from torch import nn

from mythos_blocks import Fixed, Window
from mythos_blocks.tensors.randomness import keyed_generator
from mythos_lab.checks.findings import Assembly, Finding
from mythos_lab.recipe.loads import forget_loads
from mythos_lab.recipe.step import Learner, differentiate


def parameters_learn(assembly: Assembly) -> list[Finding]:
    """One forward and backward pass at the largest sampled loop count reaches every parameter, and every
    row of a table that has one for each iteration."""
    model = assembly.model.train()
    num_loops = model.core.loops.max_loops
    # Whatever part of the loop training differentiates: what no iteration's gradient reaches is not connected at all.
    policy, model.core.gradient = model.core.gradient, Window(Fixed(num_loops=num_loops))
    moved: dict[str, nn.Parameter] = {}
    try:
        silent = _silent_after_a_pass(assembly, num_loops)
        # Nothing gets gradient through a matrix of zeros that itself gets some: the first step of training moves it.
        while silent and (movable := _movable_zeros(model)):
            _nudge(movable)
            moved |= movable
            silent = _silent_after_a_pass(assembly, num_loops)
    finally:
        model.core.gradient = policy
        with torch.no_grad():
            for parameter in moved.values():
                parameter.zero_()
    findings = [Finding("gradient.missing", f"{name} gets no gradient") for name in silent]
    table = model.core.depth_adapter.table()
    if table is not None and table.grad is not None and bool(table.grad.any()):
        rows = _ranges((table.grad.abs().sum(-1) == 0).nonzero().flatten().tolist())
        if rows:
            findings.append(
                Finding(
                    "gradient.missing",
                    f"the rows of core.depth_adapter for iterations {rows} get "
                    f"exactly zero gradient at {num_loops} loops",
                )
            )
    return findings


def _silent_after_a_pass(assembly: Assembly, num_loops: int) -> list[str]:
    """The parameters that a forward and backward pass leaves without gradient."""
    model = assembly.model
    differentiate(Learner.of(assembly.recipe, model), assembly.batch, num_loops)
    forget_loads(model)
    return [name for name, p in model.named_parameters() if p.requires_grad and not _learns(p)]


def _learns(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


def _movable_zeros(model: nn.Module) -> dict[str, nn.Parameter]:
    """Matrices of zeros that get gradient."""
    return {n: p for n, p in model.named_parameters() if p.dim() >= 2 and not bool(p.any()) and _learns(p)}


@torch.no_grad()
def _nudge(parameters: dict[str, nn.Parameter]) -> None:
    for name, parameter in parameters.items():
        parameter.normal_(std=0.02, generator=keyed_generator(0, name, device=parameter.device))


def _ranges(zero_based: list[int]) -> str:
    """1-based ranges: ``3-16`` or ``2, 5-8``."""
    runs: list[list[int]] = []
    for i in (z + 1 for z in zero_based):
        if runs and runs[-1][1] == i - 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
