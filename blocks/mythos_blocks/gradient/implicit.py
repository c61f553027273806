"""The gradient of a fixed point."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Loops, NonNegative
from mythos_blocks.gradient.base import GradientPolicy, no_window_of_its_own
from mythos_blocks.loops.base import LoopSampler
from mythos_blocks.tensors.tracing import is_traced, outside_of_graphs


@component("gradient", "implicit")
class Implicit(GradientPolicy):
    """The gradient of the fixed point that the loop is taken to have reached (deep equilibrium, arXiv 1909.01377).

    The iterations run without a graph. The backward pass solves ``g = v + J^T g`` at the last state by iteration, J the
    Jacobian of one more iteration, whose graph then carries g on. Memory is that of one iteration. Where the loop has
    not settled, this is another gradient than that of the iterations that ran.

    Args:
        loops: The sampler of loop counts, built.
        num_iterations: Most products with ``J^T``.
        tolerance: Stop once g changes by less than this share of its norm.

    Raises:
        ValueError: The sampler declares a window too.
    """

    needs_last_state = True

    def __init__(self, loops: LoopSampler, *, num_iterations: Loops = 16, tolerance: NonNegative = 1e-4) -> None:
        super().__init__(loops)
        no_window_of_its_own(self, loops)
        self.num_iterations, self.tolerance = num_iterations, tolerance

    def window(self, num_loops: int) -> int:
        return 0

    def attach(self, h: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
        if torch.compiler.is_compiling():
            outside_of_graphs(
                f"gradient {self.kind!r} solves for its gradient in the backward pass, through one graph several "
                "times; leave the model uncompiled, export it in evaluation mode, or declare gradient: one_step"
            )
        start = h.detach().requires_grad_()
        with torch.enable_grad():
            after = step(start)

        def solve(v: Tensor) -> Tensor:
            g = v
            for _ in range(self.num_iterations):
                (product,) = torch.autograd.grad(after, start, g, retain_graph=True)
                change, g = (v + product - g).norm(), v + product
                if not is_traced(g) and bool(change <= self.tolerance * g.norm()):
                    break
            return g

        # The value is that of the last state; the graph is that of one more iteration from it, cut off from start.
        reached = _Solved.apply(after, h.detach(), solve)  # type: ignore[no-untyped-call]
        assert isinstance(reached, Tensor)
        return reached


class _Solved(torch.autograd.Function):
    """``h`` forward; backward, what :func:`solve` makes of the gradient goes to ``after``."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, after: Tensor, h: Tensor, solve: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.solve = solve  # type: ignore[attr-defined]
        return h.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.solve(gradient), None, None  # type: ignore[attr-defined]
