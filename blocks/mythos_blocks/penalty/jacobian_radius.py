"""A bound on the Jacobian of the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Loops, Positive
from mythos_blocks.penalty.base import Penalty, check_one_more
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("penalty", "jacobian_radius")
class JacobianRadius(Penalty):
    """``weight * relu(rho_J - limit)^2``, rho_J by power iteration on the loop's Jacobian at the last state.

    The regulariser of STARS (arXiv 2605.26733), as its abstract describes it. Power iteration multiplies a random
    vector ``num_iterations`` times by ``J = df/dh``; the last growth ``||J v|| / ||v||`` is differentiated, over all
    positions of a sequence together but those that pad it, with v held fixed.

    Args:
        weight: Weight of the squared excess.
        limit: What rho_J may be without a penalty.
        num_iterations: Products with J; each costs about two iterations.
    """

    metric = "stability/rho_J"
    differentiates_again = True

    def __init__(self, *, weight: Positive = 0.1, limit: Positive = 1.0, num_iterations: Loops = 3) -> None:
        self.weight, self.limit, self.num_iterations = weight, limit, num_iterations

    def check(self, model: LoopedTransformer) -> None:
        check_one_more(model, self)
        if model.core.cuts_gradient:
            raise ValueError(
                "penalty 'jacobian_radius' differentiates whole iterations, of which core.cycle_gradient="
                f"{model.core.cycle_gradient!r} leaves out a part; use 'full'"
            )

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        h = out.state.h.detach()
        radius = jacobian_growth(model, out, h, self.num_iterations)
        return self.weight * (radius - self.limit).clamp_min(0).square().mean(), radius.mean()


def jacobian_growth(model: LoopedTransformer, out: ModelOutput, h: Tensor, num_iterations: int) -> Tensor:
    """The growth of ``v -> J v``, J the Jacobian of one more iteration at ``h``, by power iteration: ``(batch,)``."""
    h = h.detach().requires_grad_()
    # The fused attention kernels have no second derivative.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        after = model.core.next_state(out.state, h)
        # J v by two reverse passes: w -> J^T w is linear in w, and its own transpose is J.
        w = torch.zeros_like(after, requires_grad=True)
        (transposed,) = torch.autograd.grad(after, h, w, create_graph=True)

        def product(v: Tensor, create_graph: bool) -> Tensor:
            (jv,) = torch.autograd.grad(transposed, w, v, create_graph=create_graph, retain_graph=True)
            return jv

        v = _noise(h, out.frame.real)
        for i in range(num_iterations):
            v = (v / v.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]).detach()
            v = product(v, create_graph=i + 1 == num_iterations)
            v = v if out.frame.real is None else v * out.frame.real[..., None]
    return at_least_float32(v).flatten(1).norm(dim=1)


def _noise(h: Tensor, real: Tensor | None) -> Tensor:
    """Normal noise of the shape of ``h``, zero where ``real`` is false; the same whatever the padding."""
    if real is None:
        return torch.randn_like(h)
    noise = torch.zeros_like(h)
    noise[real] = torch.randn(int(real.sum()), h.shape[-1], device=h.device, dtype=h.dtype)
    return noise
