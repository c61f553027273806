"""Rotations of channel pairs: by position, by iteration, by whatever has an angle."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mythos_blocks.tensors.precision import exact_dtype_of, in_dtype
from mythos_blocks.tensors.tracing import is_computed_as_written


class Rotation:
    """Angles by which channel pairs are turned, made once for everything that is turned by them.

    Args:
        angles: ``(..., d / 2)``, in float32 or float64.

    Attributes:
        cos: Their cosines.
        sin: Their sines.
    """

    def __init__(self, angles: Tensor) -> None:
        self.cos, self.sin = angles.cos(), angles.sin()
        self._turns: Tensor | None = None

    @classmethod
    def by_position(cls, positions: Tensor, num_channels: int, theta: float, dtype: torch.dtype) -> Rotation:
        """By ``position * theta ** (-2i / d)`` (arXiv 2104.09864, eq. 34), ``(*positions, num_channels / 2)``.

        Angles are computed in float32 or float64, since bfloat16 cannot tell neighbouring positions apart beyond 256.
        """
        # Rounded as the published systems do it: at far positions, one bit of a frequency shows in the angle.
        exponents = torch.arange(0, num_channels, 2, device=positions.device, dtype=dtype) / num_channels
        return cls(positions.to(dtype).unsqueeze(-1) * (1.0 / theta**exponents))

    def of(self, x: Tensor, pairing: str = "interleaved") -> Tensor:
        """Channel pairs of ``x``, each turned by its angle, in the dtype of ``x``; computed in that of the angles.

        Pair i is of channels (2i, 2i + 1), or (i, i + d/2) where ``pairing`` is "halves".

        Shapes: ``(..., d)``, to which angles are broadcast; or ``(batch, ..., positions, d)`` where the angles are
        ``(batch, positions, d / 2)``.
        """
        dtype, x = x.dtype, in_dtype(x, self.cos.dtype)
        if pairing == "interleaved" and _are_pairs_whole(x):
            # One product of complex numbers reads and writes a state once, where the form below does so ten times.
            turns = self._among(self.turns, x)
            pairs = torch.view_as_complex(x.view(*x.shape[:-1], -1, 2))
            return in_dtype(torch.view_as_real(pairs * turns).flatten(-2), dtype)
        cos, sin = self._among(self.cos, x), self._among(self.sin, x)
        if pairing == "halves":
            first, second = x.chunk(2, dim=-1)
            return in_dtype(torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1), dtype)
        even, odd = x[..., 0::2], x[..., 1::2]
        pairs = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
        return in_dtype(pairs.flatten(-2), dtype)

    def of_heads(self, num_heads: int, num_channels: int, pairing: str, like: Tensor) -> Callable[[Tensor], Tensor]:
        """What splits a linear's output into heads and turns them, with its form chosen once for a pass.

        Args:
            num_heads: Heads.
            num_channels: Channels d of a head.
            pairing: As in :meth:`of`.
            like: What the linear is given, ``(batch, positions, width)``.

        Returns:
            A function ``(batch, positions, heads * d) -> (batch, heads, positions, d)``.
        """
        batch, positions = like.shape[:2]
        whole = pairing == "interleaved" and not num_channels % (2 * _LANES) and is_computed_as_written(like)
        dtype, pairs = self.cos.dtype, (batch, positions, num_heads, num_channels // 2, 2)
        turns = self.turns.unsqueeze(-3) if whole else None

        def turn(x: Tensor) -> Tensor:
            if turns is None or x.dtype is not dtype or not x.is_contiguous():
                return self.of(x.view(batch, positions, num_heads, num_channels).transpose(1, 2), pairing)
            return torch.view_as_real(torch.view_as_complex(x.view(pairs).transpose(1, 2)) * turns).flatten(-2)

        return turn

    @property
    def turns(self) -> Tensor:
        """``cos + i sin``."""
        if self._turns is None:
            self._turns = torch.complex(self.cos, self.sin)
        return self._turns

    def taken(self, rows: Tensor | None, columns: Tensor) -> Rotation:
        """The rotation of some positions: by indices into the last dimension but one, and ahead of it the first."""
        other = object.__new__(Rotation)
        place = columns if rows is None else (rows, columns)
        other.cos, other.sin, other._turns = self.cos[place], self.sin[place], None
        return other

    def _among(self, table: Tensor, x: Tensor) -> Tensor:
        """A table of sequences and positions between whose two further dimensions of ``x`` stand."""
        if table.dim() != 3 or x.dim() <= 3:
            return table
        return table.view(table.shape[0], *[1] * (x.dim() - 3), *table.shape[1:])


def turned(x: Tensor, angles: Tensor, pairing: str = "interleaved") -> Tensor:
    """Channel pairs of ``x``, ``(..., d)``, each turned by its angle, ``(..., d / 2)``, in the dtype of ``x``.

    Computed in at least float32; see :meth:`Rotation.of`.
    """
    return Rotation(in_dtype(angles, exact_dtype_of(x))).of(x, pairing)


def rotate(x: Tensor, positions: Tensor, theta: float, pairing: str = "interleaved") -> Tensor:
    """Rotate channel pairs by their positions; see :meth:`Rotation.by_position`.

    Shapes: x ``(batch, ..., positions, d)`` with d even, positions ``(positions,)`` or ``(batch, positions)``.
    """
    return Rotation.by_position(positions, x.shape[-1], theta, exact_dtype_of(x)).of(x, pairing)


_LANES = 8
"""Complex numbers in the widest vector register of today's CPUs: what is left over by it is rounded otherwise."""


def _are_pairs_whole(x: Tensor) -> bool:
    """Whether neighbouring channels can be read as complex numbers where they lie, with the bits of the real form.

    Compilers and exporters get the real form, which they fuse, and which other runtimes know.
    """
    if x.shape[-1] % (2 * _LANES) or not is_computed_as_written(x) or x.stride(-1) != 1 or x.storage_offset() % 2:
        return False
    for stride in x.stride()[:-1]:
        if stride % 2:
            return False
    return True
