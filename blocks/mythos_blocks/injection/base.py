"""The contract of an injection."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module


class Injection(Module):
    """How the input e enters iteration t, before the core and after it.

    With ``y`` the state that the update proposes from the core's output, one iteration is::

        x = combine(h, e, signal)
        y = update(h, core(x))
        h = inject(h, e, y)

    ``signal`` is the depth signal of the iteration, ``(width,)`` or ``(..., positions, width)``, or ``None``. The
    states are ``(batch, positions, width)``, and e is ``(batch, positions, input_width)``.
    """

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None) -> Tensor:
        """What the core reads."""
        return h if signal is None else h + signal

    def inject(self, h: Tensor, e: Tensor, y: Tensor) -> Tensor:
        """The next state, from the old one and the one that the update proposes."""
        return y

    def advance(self, h: Tensor, e: Tensor, y: Tensor, next_signal: Tensor | None) -> tuple[Tensor, Tensor]:
        """``inject`` and the next iteration's ``combine`` in one, for injections that fuse them."""
        h = self.inject(h, e, y)
        return h, self.combine(h, e, next_signal)

    def linear_part(self, h: Tensor) -> Tensor | None:
        """The linear map by which h is carried on, apart from e and from the core; ``None`` where there is none."""
        return None

    def rho(self) -> Tensor | None:
        """Spectral radius of :meth:`linear_part`, a scalar, in closed form; ``None`` where there is no such map."""
        return None
