"""Every parameter must learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mythos_blocks import Fixed, RoutedExperts, Window
from mythos_blocks.randomness import keyed_generator
from mythos_lab.checks.findings import Assembly, Finding


def parameters_learn(assembly: Assembly) -> list[Finding]:
    """One forward and backward pass at the largest sampled loop count reaches every parameter, and every
    row of a table that has one for each iteration."""
    model = assembly.model.train()
    model.zero_grad(set_to_none=True)
    num_loops = model.core.loops.max_loops
    # Whatever part of the loop training differentiates: what no iteration's gradient reaches is not connected at all.
    policy, model.core.gradient = model.core.gradient, Window(Fixed(num_loops=num_loops))
    try:
        with _without_zeros(model):
            out = model(assembly.batch.tokens, assembly.mask(), num_loops, record=assembly.losses.every_step)
            assembly.losses(model, out, assembly.batch.targets)[0].backward()
    finally:
        model.core.gradient = policy
    for module in model.modules():
        if isinstance(module, RoutedExperts):
            module.load.zero_()  # the pass must not count as one of training
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
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


@contextmanager
def _without_zeros(model: nn.Module) -> Iterator[None]:
    """Small numbers in matrices that begin at zero: nothing gets gradient through those before the first step."""
    zeros = {name: p for name, p in model.named_parameters() if p.dim() >= 2 and not bool(p.any())}
    with torch.no_grad():
        for name, parameter in zeros.items():
            parameter.normal_(std=0.02, generator=keyed_generator(0, name, device=parameter.device))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter in zeros.values():
                parameter.zero_()


def _ranges(zero_based: list[int]) -> str:
    """1-based ranges: ``3-16`` or ``2, 5-8``."""
    runs: list[list[int]] = []
    for i in (z + 1 for z in zero_based):
        if runs and runs[-1][1] == i - 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
