"""A sum whose gradients are taken while it is made, so that nothing of its parts is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def known_sum(
    read: Callable[[Tensor], Tensor], states: Iterable[Tensor], weights: Tensor, parameters: Sequence[Tensor]
) -> Tensor:
    """``sum_t (weights[t] * read(states[t])).sum()``, a scalar.

    The gradient of each part is taken as soon as the part is there: one for its state, if that has a graph, and one for
    the parameters, which are added up. Nothing else is kept for the backward pass. It is exact, because the sum is
    linear in what is read.

    Args:
        read: From a state to numbers of the shape of a row of ``weights``; a function of the state and of
            ``parameters``, and of nothing else that has a gradient.
        states: As many as ``weights`` has rows; each is asked for when the one before has been read.
        weights: ``(states, numbers)``.
        parameters: What ``read`` may depend on. Of those that it turns out not to depend on nothing is kept.
    """
    total, values = weights.new_zeros(()), []
    of_states: list[tuple[Tensor, Tensor]] = []
    of_parameters: dict[int, Tensor] = {}
    for state, weight in zip(states, weights.detach(), strict=True):
        h = state.detach().requires_grad_(state.requires_grad)
        numbers = read(h.view_as(h))  # no leaf, on which those who count within modules cannot wait here
        part = (weight * numbers).sum()
        total = total + part.detach()
        values.append(numbers.detach())
        if not part.requires_grad:
            continue
        sources = [*parameters, h] if h.requires_grad else parameters
        gradients = torch.autograd.grad(part, sources, allow_unused=True)
        if h.requires_grad and gradients[-1] is not None:
            of_states.append((state, gradients[-1]))
        for i, gradient in enumerate(gradients[: len(parameters)]):
            if gradient is not None:
                of_parameters[i] = of_parameters[i] + gradient if i in of_parameters else gradient
    sources = [weights, *(state for state, _ in of_states), *(parameters[i] for i in of_parameters)]
    known = [torch.stack(values), *(gradient for _, gradient in of_states), *of_parameters.values()]
    attached: Tensor = _Known.apply(total, len(sources), *sources, *known)  # type: ignore[no-untyped-call]
    return attached


class _Known(torch.autograd.Function):
    """A scalar, whose gradients for what it was made of are known."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, total: Tensor, num: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[num:])
        return total.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        known: tuple[Tensor, ...] = ctx.saved_tensors  # type: ignore[attr-defined]
        return None, None, *(gradient * each for each in known), *[None] * len(known)
