"""A linear probe: logistic regression on what a model holds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Probed:
    """What a probe came to on samples that it was not fitted on.

    Attributes:
        right: Whether each target is told, ``(samples,)``.
        nats: Mean cross-entropy.
    """

    right: Tensor
    nats: float


def probe(
    features: Tensor, targets: Tensor, held_features: Tensor, held_targets: Tensor, decay: float = 1e-3
) -> Probed:
    """Fit multinomial logistic regression with weight decay by L-BFGS, and hold it against other samples.

    Args:
        features: ``(samples, width)``; each channel is standardised by these.
        targets: Classes ``(samples,)``.
        held_features: Of other samples.
        held_targets: Theirs; one that was not fitted is told wrong.
        decay: Weight of half the squared norm.
    """
    mean, scale = features.mean(0), features.std(0).clamp_min(1e-6)
    x, held = ((f - mean) / scale for f in (features.float(), held_features.float()))
    num_classes = int(torch.maximum(targets.max(), held_targets.max())) + 1
    with torch.enable_grad():
        weight = torch.zeros(num_classes, x.shape[1] + 1, device=x.device, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = F.cross_entropy(_logits(x, weight), targets) + decay / 2 * weight[:, :-1].square().sum()
            value.backward()
            return value

        optimizer.step(loss)
    with torch.no_grad():
        logits = _logits(held, weight)
        return Probed(logits.argmax(1) == held_targets, float(F.cross_entropy(logits, held_targets)))


def _logits(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight[:, :-1].T + weight[:, -1]


def entropy(targets: Tensor) -> float:
    """What not looking costs: the entropy in nats of classes ``(samples,)``."""
    shares = torch.bincount(targets).double()
    shares = shares[shares > 0] / len(targets)
    return float(-(shares * shares.log()).sum())
