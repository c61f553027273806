"""The contract of an injection."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.rows import Index


@contract("injection")
class Injection(Module):
    """How the input e enters iteration t, before the core and after it.

    With ``y`` the state that the update proposes from the core's output, one iteration is::

        x = combine(h, e, signal, t)
        y = update(h, core(x), t)
        h = inject(h, e, y, t)

    ``signal`` is the depth signal of the iteration, ``(width,)`` or ``(..., positions, width)``, or ``None``. The
    states are ``(batch, positions, width)``, and e is ``(batch, positions, input_width)``. The loop gives the iteration
    t, 0-based, as a 0-dimensional int64 tensor.
    """

    def forward(
        self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0, y: Tensor | None = None
    ) -> Tensor:
        """What the core reads, by :meth:`combine`: called as a module, so that hooks on the injection see it.

        Where ``y`` is given, the next state, by :meth:`inject`. The loop asks for that so where the weights may be at
        hand in the module's own ``forward`` alone: offloaded, or spread over processes.

        Shapes: ``(batch, positions, width), (batch, positions, input_width) -> (batch, positions, width)``.
        """
        return self.combine(h, e, signal, t) if y is None else self.inject(h, e, y, t)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        """What the core reads: ``(batch, positions, width)``."""
        return h if signal is None else h + signal

    def inject(self, h: Tensor, e: Tensor, y: Tensor, t: Index = 0) -> Tensor:
        """The next state, from the old one and the one that the update proposes."""
        return y

    def advance(
        self, h: Tensor, e: Tensor, y: Tensor, next_signal: Tensor | None = None, t: Index = 0, next_t: Index = 1
    ) -> tuple[Tensor, Tensor]:
        """``inject`` and the next iteration's ``combine`` in one, for injections that fuse them."""
        h = self.inject(h, e, y, t)
        return h, self.combine(h, e, next_signal, next_t)

    def prepare(self) -> Tensor | None:
        """What the weights alone make, for all iterations of a pass; ``None`` where there is no such thing.

        Where it is something, :meth:`inject` and :meth:`advance` are given it, as ``prepared``. A pass asks for it once
        for iterations with a graph, and once for those without.
        """
        return None

    def linear_part(self, h: Tensor) -> Tensor | None:
        """What of h is carried on by a linear map, apart from e and from the core; ``None`` where there is none."""
        return None

    def rho(self) -> Tensor | None:
        """Spectral radius of :meth:`linear_part`, a scalar, in closed form; ``None`` where there is no such map."""
        return None
