"""Low-rank updates of linears that change from loop to loop, for our layers and for anybody's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mythos_blocks.declaring.registry import suggest
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.precision import exact_linear, in_dtype
from mythos_blocks.tensors.randomness import keyed_generator
from mythos_blocks.tensors.rows import Beyond, Index, own_row


class LoopLoRALinears(nn.Module):
    """For each of some linears, ``num_loops`` pairs of low-rank matrices: ``y + scale * B[t] A[t] x`` in loop t.

    Outside of :meth:`at` the linears are what they were. Parameters are ``down.<linear>``, ``(num_loops, rank, in)``,
    and ``up.<linear>``, ``(num_loops, out, rank)``, with dots of the linear's name as dashes.

    Args:
        num_loops: Loops with matrices of their own.
        rank: Rank of each update.
        scale: Factor on the update.
        std: Standard deviation of the initial B.
        beyond: What loops past ``num_loops`` use.
    """

    summed = ("down", "up")  # as ``Module.summed``: matrices of a state

    def __init__(
        self, num_loops: int, rank: int, scale: float = 1.0, std: float = 0.02, beyond: Beyond = "clamp"
    ) -> None:
        super().__init__()
        self.reach: int | None = num_loops
        self.num_loops, self.rank, self.scale, self.std, self.beyond = num_loops, rank, scale, std, beyond
        self.down, self.up = _Tables(), _Tables()
        self._now, self._paths = _Now(), dict[str, str]()

    def attach(self, module: nn.Module, patterns: Sequence[str]) -> None:
        """Meet the linears of a module whose paths fit a pattern (``fnmatch``).

        Raises:
            ValueError: A pattern fits no linear; names the nearest.
        """
        linears = {name: m for name, m in module.named_modules() if isinstance(m, nn.Linear)}
        for pattern in patterns:
            if not any(fnmatch(name, pattern) for name in linears):
                raise ValueError(f"on: {pattern.removeprefix('*.')!r} fits no linear; {suggest(pattern, linears)}")
        for name, linear in linears.items():
            if any(fnmatch(name, pattern) for pattern in patterns):
                key = name.replace(".", "-")
                weight = linear.weight
                self.down[key] = nn.Parameter(weight.new_empty(self.num_loops, self.rank, linear.in_features))
                self.up[key] = nn.Parameter(weight.new_zeros(self.num_loops, linear.out_features, self.rank))
                self._paths[key] = name
                _Update(self, key).hook(linear)
        if self.down and not next(iter(self.down.values())).is_meta:
            self.reset(keyed_generator(0, "loop_lora"))

    def keep_hold(self, module: nn.Module) -> None:
        """Meet what has been put in the place of a linear since, without its hook: a quantised one, say.

        Args:
            module: The one whose linears were met.

        Raises:
            ValueError: There is nothing in the place of one.
        """
        hooks = (hook for part in module.modules() for hook in part._forward_hooks.values())
        held = {hook.key for hook in hooks if isinstance(hook, _Update) and hook.linears is self}
        for key in self._paths.keys() - held:
            path = self._paths[key]
            try:
                there = module.get_submodule(path)
            except AttributeError:
                raise ValueError(f"the linear {path!r}, which has updates by loop, is not there any more") from None
            _Update(self, key).hook(there)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw A so that it keeps the scale of its input, and B with the declared deviation."""
        seed = generator.initial_seed()
        for key, down in self.down.items():
            one = keyed_generator(seed, key, "down", device=generator.device)
            nn.init.normal_(down, std=down.shape[-1] ** -0.5, generator=one)
            other = keyed_generator(seed, key, "up", device=generator.device)
            nn.init.normal_(self.up[key], std=self.std, generator=other)

    @contextmanager
    def at(self, t: Index) -> Iterator[None]:
        """The span in which the linears are those of loop ``t``."""
        before = self.tell(t)
        try:
            yield
        finally:
            self.tell(before)

    def tell(self, t: Index | None) -> Index | None:
        """Say which loop it is from now on, ``None`` for no loop; returns which it was."""
        before, self._now.t = self._now.t, t
        return before

    def update(self, key: str, x: Tensor, *, exact: bool = False) -> Tensor | None:
        """What is added to the output of a linear at present; ``None`` outside of :meth:`at`.

        Args:
            key: The linear.
            x: What it is given.
            exact: Whether its output is in float32 or wider whatever the dtype of products.
        """
        t = self._now.t
        if t is None:
            return None
        down, up = self.down(key, t, self.beyond), self.up(key, t, self.beyond)
        if exact:
            return self.scale * exact_linear(exact_linear(x, down), up)
        return self.scale * F.linear(F.linear(x, in_dtype(down, x.dtype)), in_dtype(up, x.dtype))


class _Tables(nn.ParameterDict):
    """Matrices of all loops, by their linear. They are read in a ``forward``, for which offloaded ones are fetched."""

    __call__ = nn.Module.__call__

    def forward(self, key: str, t: Index, beyond: Beyond) -> Tensor:
        """The matrix of loop ``t``: ``(rank, in)`` or ``(out, rank)``."""
        return own_row(self[key], t, beyond)


class _Now:
    """The present loop. Not the module's own attribute, which a compiler would take for a constant."""

    t: Index | None = None


class _Update:
    """A forward hook; an object, so that copies of the module refer to copies of the adapter."""

    handle: RemovableHandle

    def __init__(self, linears: LoopLoRALinears, key: str) -> None:
        self.linears, self.key = linears, key

    def hook(self, linear: nn.Module) -> None:
        """Act on a linear."""
        # Kept, since every process counts hooks anew: a handle that is unpickled says which numbers are taken, and a
        # hook that is added there does not take this one's.
        self.handle = linear.register_forward_hook(self)

    def __call__(self, module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        update = self.linears.update(self.key, args[0], exact=isinstance(module, ExactLinear))
        return out if update is None else out + update


def add_loop_lora(
    module: nn.Module, *, num_loops: int, rank: int, on: Sequence[str] = ("*",), std: float = 0.02
) -> LoopLoRALinears:
    """Give the linears of any module low-rank updates for each loop; use them inside ``with lora.at(t):``.

    The module keeps its parameters; those of the updates belong to what is returned.

    Args:
        module: What is looped.
        num_loops: Loops with matrices of their own.
        rank: Rank of each update.
        on: Patterns of linears, by their path within the module.
        std: Standard deviation of the initial B; zero starts at the module as it is.
    """
    lora = LoopLoRALinears(num_loops, rank, std=std)
    lora.attach(module, on)
    return lora
