"""What rules that watch the loop have seen, of positions that run and of others."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from mythos_blocks.frame.selection import Where

S = TypeVar("S")


def held(before: S, after: S, running: Where) -> S:
    """``after`` at the positions that ran, ``before`` at the others: dataclasses of ``(batch, positions, ...)``.

    An iteration that a position did not run has no weight at it.
    """
    if running.all:
        return after
    changes: dict[str, Any] = {}
    for field in fields(after):  # type: ignore[arg-type]
        old, new = getattr(before, field.name), getattr(after, field.name)
        if isinstance(new, Tensor):
            changes[field.name] = _held(old, new, running)
        elif isinstance(new, dict):
            changes[field.name] = {key: _held(old.get(key), value, running) for key, value in new.items()}
        elif field.name == "weights":
            first = torch.zeros_like(new[-1])
            olds = (*old, *[first] * (len(new) - len(old)))
            changes[field.name] = [_held(a, b, running) for a, b in zip(olds, new, strict=True)]
    return replace(after, **changes)  # type: ignore[type-var]


def cut(before: S, after: S, graph: Where) -> S:
    """``after`` without gradient at the positions that are computed without one; of ``before`` it was cut already."""
    changes: dict[str, Any] = {}
    for field in fields(after):  # type: ignore[arg-type]
        old, new = getattr(before, field.name), getattr(after, field.name)
        if isinstance(new, Tensor):
            changes[field.name] = new if new is old else _cut(new, graph)
        elif isinstance(new, dict):
            cuts = {key: value if value is old.get(key) else _cut(value, graph) for key, value in new.items()}
            changes[field.name] = cuts
        elif isinstance(new, list):
            known = {id(x) for x in old}
            changes[field.name] = [x if id(x) in known else _cut(x, graph) for x in new]
    return replace(after, **changes)  # type: ignore[type-var]


def put_back(before: Tensor, after: Tensor, where: Where) -> Tensor:
    """``after`` where it holds, ``before`` elsewhere: ``(batch, positions, ...)``."""
    mask = where.mask.view(*where.mask.shape, *[1] * (after.dim() - 2))
    if after.dtype == torch.bool:  # which ONNX Runtime's Where does not take
        return (mask & after) | (~mask & before)
    return torch.where(mask, after, before)


def _held(old: Tensor | None, new: Tensor, running: Where) -> Tensor:
    if old is None or old is new or new.shape[:2] != running.shape:
        return new
    return put_back(old, new, running)


def _cut(x: Tensor, graph: Where) -> Tensor:
    return put_back(x.detach(), x, graph) if x.requires_grad and x.shape[:2] == graph.shape else x
