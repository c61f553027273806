"""The contract of an injection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.plain import is_shared_out, is_supplied, weights_of
from mythos_blocks.tensors.rows import Index


class Ends(NamedTuple):
    """How an iteration ends: the functions of a pass.

    Attributes:
        last: From h and y to the next state.
        between: From h, y and the next iteration's signal to the next state, and what the core reads of it.
    """

    last: Callable[[Tensor, Tensor], Tensor]
    between: Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


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

    _had: tuple[Any, ...] | None = None  # its weights, as a forward saw them that something stands ahead of

    def forward(
        self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0, y: Tensor | None = None
    ) -> Tensor:
        """What the core reads, by :meth:`combine`: called as a module, so that hooks on the injection see it.

        Where ``y`` is given, the next state, by :meth:`inject`. The loop asks for that so where the weights are at hand
        in the module's own ``forward`` alone: offloaded, or spread over processes.

        Shapes: ``(batch, positions, width), (batch, positions, input_width) -> (batch, positions, width)``.
        """
        if y is not None:
            return self.inject(h, e, y, t)
        if is_supplied(self) and not torch.compiler.is_dynamo_compiling():
            self._had = weights_of(self)
        return self.combine(h, e, signal, t)

    @property
    def is_away(self) -> bool:
        """Whether the weights that the last call as a module had are there no more, or are not to be used outside.

        What only looks on (a hook of somebody who watches) takes none away, and sees one call an iteration.
        """
        if not is_supplied(self):
            return False
        if is_shared_out(self):
            return True
        return "forward" in vars(self) if torch.compiler.is_dynamo_compiling() else self._had != weights_of(self)

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

    def inlined(self, h: Tensor, e: Tensor, prepared: Tensor | None) -> Ends | None:
        """:meth:`inject` and :meth:`advance` as functions for one pass; ``None`` where it has none.

        Args:
            h: A state of the pass, whose shape and dtype all have.
            e: The input of the pass.
            prepared: What :meth:`prepare` has made, as gradients are recorded now.
        """
        return None

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
