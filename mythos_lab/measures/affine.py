"""Affine maps from states to what the head reads, one for each place, fitted together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_CHECK_EVERY = 10


@dataclass(frozen=True)
class AffineMaps:
    """``x = r + ((h - mean) / scale) W + b`` for each place, where r is the state as the head would read it.

    Attributes:
        mean: ``(places, 1, state_width)``.
        scale: ``(places, 1, 1)``.
        weight: ``(places, state_width, width)``.
        bias: ``(places, 1, width)``.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, h: Tensor, r: Tensor) -> Tensor:
        """``(places, answers, state_width), (places, answers, width) -> (places, answers, width)``."""
        return r + torch.baddbmm(self.bias, (h - self.mean) / self.scale, self.weight)


def fitted(
    h: Tensor,
    r: Tensor,
    outputs: Tensor,
    read: Callable[[Tensor], Tensor],
    left_out: Tensor,
    *,
    num_steps: int,
    rate: float = 1e-2,
    decay: float = 1e-3,
) -> AffineMaps:
    """Maps of least divergence KL(output, reading), by Adam from zero, where the lens is the one without a map.

    Some answers are left out of the fit, and of each place's maps those are kept that are best there, so that few
    answers and wide states do not end in maps that know their answers by heart.

    Args:
        h: States ``(places, answers, state_width)``.
        r: The same in the model's width, ``(places, answers, width)``.
        outputs: Log-probabilities ``(answers, vocab_size)``.
        read: From ``(..., width)`` to logits ``(..., vocab_size)``.
        left_out: Those to stop by, ``(answers,)`` booleans.
        num_steps: Steps of the fit.
        rate: Learning rate.
        decay: Weight of half the squared norm of a map.
    """
    mean = h.mean(1, keepdim=True)
    scale = (h - mean).square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-6)
    weight = h.new_zeros(len(h), h.shape[2], r.shape[2]).requires_grad_()
    bias = h.new_zeros(len(h), 1, r.shape[2]).requires_grad_()
    maps = AffineMaps(mean, scale, weight, bias)
    used, best = ~left_out, (torch.zeros_like(weight), torch.zeros_like(bias))
    least = h.new_full((len(h),), torch.inf)
    optimizer = torch.optim.Adam([weight, bias], lr=rate)
    for step in range(num_steps + 1):
        if step % _CHECK_EVERY == 0:
            with torch.no_grad():
                held = divergence(read(maps(h[:, left_out], r[:, left_out])), outputs[left_out]).mean(1)
                better = (held < least)[:, None, None]
                best = torch.where(better, weight, best[0]), torch.where(better, bias, best[1])
                least = torch.minimum(held, least)
        if step == num_steps:
            break
        with torch.enable_grad():
            losses = divergence(read(maps(h[:, used], r[:, used])), outputs[used]).mean(1)
            loss = losses.sum() + decay / 2 * weight.square().sum()
            weight.grad, bias.grad = torch.autograd.grad(loss, [weight, bias])
        optimizer.step()
    return AffineMaps(mean, scale, *best)


def divergence(logits: Tensor, outputs: Tensor) -> Tensor:
    """KL(output, reading) in nats: logits ``(places, answers, vocab_size)``, log-probabilities of the outputs without
    places, to ``(places, answers)``."""
    return (outputs.exp() * (outputs - logits.float().log_softmax(-1))).sum(-1)
