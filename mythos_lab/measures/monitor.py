"""Numbers read off a model while it trains."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mythos_blocks import LoopedTransformer
from mythos_blocks.layer.base import Branch
from mythos_blocks.tensors.matrices import matrices, operator_bounds


def rho_A(model: LoopedTransformer) -> Tensor | None:
    """Spectral radius of the injection's linear map, in the state's dtype; ``None`` without one."""
    rho = model.core.injection.rho()
    return None if rho is None else rho.detach()


def distance_to_one(rho: Tensor) -> float:
    """How far below 1 a spectral radius stands, as its dtype has it: 0 where it has been rounded to 1."""
    return float(1 - rho)


def max_spectral_norm(model: LoopedTransformer) -> Tensor | None:
    """Largest singular value of any matrix of the core's layers; ``None`` where nothing bounds them."""
    if model.core.stabilizer.kind == "none":
        return None
    looped = (model.core.layers, getattr(model.core, "high_layers", nn.ModuleList()))
    norms = [operator_bounds(owner, p.detach())[0].max() for layers in looped for _, owner, p in matrices(layers)]
    return torch.stack(norms).max()


def layer_scale(model: LoopedTransformer) -> Tensor | None:
    """Mean absolute LayerScale of the core's layers; ``None`` where they have none."""
    scales = [
        m.scale.detach().abs() for m in model.core.layers.modules() if isinstance(m, Branch) and m.scale is not None
    ]
    return torch.cat(scales).mean() if scales else None


STABILITY: dict[str, Callable[[LoopedTransformer], Tensor | None]] = {
    "stability/max_spectral_norm": max_spectral_norm,
    "stability/layer_scale": layer_scale,
}
"""Monitors of what keeps a loop stable, by metric name; each is silent where there is nothing to watch."""
