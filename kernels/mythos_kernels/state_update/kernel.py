"""Triton forward and backward of ``state_update``, and how they are launched.

A tile is BLOCK_ROWS whole rows, so every sum over a row happens in registers. Narrow states share a tile, which keeps
the loads wide and spreads the cost of the channel vectors; a wide state has a tile per row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from mythos_kernels.cases import AotCase


@triton.jit
def _tile(block, num_rows, width, BLOCK_ROWS: tl.constexpr, BLOCK_WIDTH: tl.constexpr):
    rows = block * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    cols = tl.arange(0, BLOCK_WIDTH)
    # rows * width passes 2**31 at 262144 tokens of width 8192, so offsets are 64-bit.
    offsets = rows.to(tl.int64)[:, None] * width + cols[None, :]
    mask = (rows < num_rows)[:, None] & (cols < width)[None, :]
    return offsets, mask


@triton.jit
def _load(ptr, offsets, mask):
    return tl.load(ptr + offsets, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _load_channels(ptr, width, BLOCK_WIDTH: tl.constexpr):
    cols = tl.arange(0, BLOCK_WIDTH)[None, :]
    return _load(ptr, cols, cols < width)


@triton.jit
def _store_channel_sums(ptr, values, width, BLOCK_WIDTH: tl.constexpr):
    cols = tl.arange(0, BLOCK_WIDTH)
    tl.store(ptr + cols, tl.sum(values, axis=0), mask=cols < width)


@triton.jit
def forward_kernel(
    h_ptr,
    e_ptr,
    u_ptr,
    a_ptr,
    b_ptr,
    weight_ptr,
    signal_ptr,  # None without a depth signal: Triton specialises on it
    h_next_ptr,
    x_next_ptr,
    num_rows,
    width,
    eps,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
):
    offsets, mask = _tile(tl.program_id(0), num_rows, width, BLOCK_ROWS, BLOCK_WIDTH)
    e = _load(e_ptr, offsets, mask)
    h_next = _load_channels(a_ptr, width, BLOCK_WIDTH) * _load(h_ptr, offsets, mask)
    h_next += _load_channels(b_ptr, width, BLOCK_WIDTH) * e
    h_next += _load(u_ptr, offsets, mask)
    stored = h_next.to(h_next_ptr.dtype.element_ty)
    tl.store(h_next_ptr + offsets, stored, mask=mask)

    # From the rounded state, as the reference says; it is also what the backward will read.
    z = stored.to(tl.float32) + e
    if signal_ptr is not None:
        z += _load_channels(signal_ptr, width, BLOCK_WIDTH)
    rstd = tl.rsqrt(tl.sum(z * z, axis=1) / width + eps)
    x = z * rstd[:, None] * _load_channels(weight_ptr, width, BLOCK_WIDTH)
    tl.store(x_next_ptr + offsets, x.to(x_next_ptr.dtype.element_ty), mask=mask)


@triton.jit
def backward_kernel(
    grad_h_next_ptr,  # None where h_next has no gradient
    grad_x_next_ptr,  # None where x_next has no gradient
    h_ptr,
    e_ptr,
    h_next_ptr,
    a_ptr,
    b_ptr,
    weight_ptr,
    signal_ptr,
    grad_h_ptr,
    grad_e_ptr,
    grad_u_ptr,
    partial_ptr,  # (num_vectors, num_programs, width) float32: sums over each program's rows for a, b, weight, signal
    num_rows,
    width,
    eps,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
):
    program = tl.program_id(0)
    num_programs = tl.num_programs(0)
    sum_a = tl.zeros([BLOCK_ROWS, BLOCK_WIDTH], tl.float32)
    sum_b = tl.zeros([BLOCK_ROWS, BLOCK_WIDTH], tl.float32)
    sum_weight = tl.zeros([BLOCK_ROWS, BLOCK_WIDTH], tl.float32)
    sum_signal = tl.zeros([BLOCK_ROWS, BLOCK_WIDTH], tl.float32)

    # The sums occupy most registers of a wide tile. The channel vectors are therefore loaded again in each round (they
    # stay in L1), and each activation as late as possible.
    for block in range(program, tl.cdiv(num_rows, BLOCK_ROWS), num_programs):
        offsets, mask = _tile(block, num_rows, width, BLOCK_ROWS, BLOCK_WIDTH)
        grad_z = tl.zeros([BLOCK_ROWS, BLOCK_WIDTH], tl.float32)
        if grad_x_next_ptr is not None:
            z = _load(h_next_ptr, offsets, mask) + _load(e_ptr, offsets, mask)
            if signal_ptr is not None:
                z += _load_channels(signal_ptr, width, BLOCK_WIDTH)
            rstd = tl.rsqrt(tl.sum(z * z, axis=1) / width + eps)[:, None]
            normed = z * rstd
            grad_x = _load(grad_x_next_ptr, offsets, mask)
            sum_weight += grad_x * normed
            grad_normed = grad_x * _load_channels(weight_ptr, width, BLOCK_WIDTH)
            radial = tl.sum(grad_normed * normed, axis=1)[:, None] / width
            grad_z = rstd * (grad_normed - radial * normed)
            sum_signal += grad_z
        grad_u = grad_z
        if grad_h_next_ptr is not None:
            grad_u += _load(grad_h_next_ptr, offsets, mask)
        tl.store(grad_u_ptr + offsets, grad_u.to(grad_u_ptr.dtype.element_ty), mask=mask)
        grad_e = _load_channels(b_ptr, width, BLOCK_WIDTH) * grad_u + grad_z
        tl.store(grad_e_ptr + offsets, grad_e.to(grad_e_ptr.dtype.element_ty), mask=mask)
        grad_h = _load_channels(a_ptr, width, BLOCK_WIDTH) * grad_u
        tl.store(grad_h_ptr + offsets, grad_h.to(grad_h_ptr.dtype.element_ty), mask=mask)
        sum_a += grad_u * _load(h_ptr, offsets, mask)
        sum_b += grad_u * _load(e_ptr, offsets, mask)

    row = partial_ptr + program.to(tl.int64) * width
    step = num_programs.to(tl.int64) * width
    _store_channel_sums(row, sum_a, width, BLOCK_WIDTH)
    _store_channel_sums(row + step, sum_b, width, BLOCK_WIDTH)
    if grad_x_next_ptr is not None:
        _store_channel_sums(row + 2 * step, sum_weight, width, BLOCK_WIDTH)
        if signal_ptr is not None:
            _store_channel_sums(row + 3 * step, sum_signal, width, BLOCK_WIDTH)


class Launch(NamedTuple):
    """How a kernel is compiled for one width; what runs and what ``aot`` compiles come from here."""

    block_rows: int
    block_width: int
    num_warps: int


def plan(width: int) -> Launch:
    """Tiles of 2048 elements or one row, 16 elements of each tensor per thread."""
    block_width = triton.next_power_of_2(width)
    block_rows = max(1, min(16, 2048 // block_width))
    return Launch(block_rows, block_width, max(1, block_rows * block_width // 512))


def forward(
    h: Tensor, e: Tensor, u: Tensor, a: Tensor, b: Tensor, weight: Tensor, signal: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """``h_next``, ``x_next``, contiguous; arguments as in the public function, contiguous."""
    h_next, x_next = torch.empty_like(h), torch.empty_like(u)
    rows, width = _rows(h)
    block_rows, block_width, num_warps = plan(width)
    if rows > 0:
        with torch.cuda.device_of(h):
            forward_kernel[(triton.cdiv(rows, block_rows),)](
                h, e, u, a, b, weight, signal, h_next, x_next, rows, width, eps,
                BLOCK_ROWS=block_rows, BLOCK_WIDTH=block_width, num_warps=num_warps,
            )  # fmt: skip
    return h_next, x_next


def backward(
    grad_h_next: Tensor | None,
    grad_x_next: Tensor | None,
    h: Tensor,
    e: Tensor,
    h_next: Tensor,
    a: Tensor,
    b: Tensor,
    weight: Tensor,
    signal: Tensor | None,
    eps: float,
    u_dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of ``h``, ``e``, ``u``; and of ``a``, ``b``, ``weight``, ``signal``: ``(num_vectors, d)`` float32.

    Where ``grad_x_next`` is None the last two do not exist, nor does that of ``signal`` without a signal. Contiguous.
    """
    grad_h, grad_e, grad_u = torch.empty_like(h), torch.empty_like(e), torch.empty_like(h, dtype=u_dtype)
    rows, width = _rows(h)
    block_rows, block_width, num_warps = plan(width)
    programs = num_programs(h)
    # Every program owns a row of sums, which torch adds up: atomics would make gradients differ from run to run.
    vectors = num_vector_gradients(grad_x_next, signal)
    partial = torch.empty(vectors, programs, width, dtype=torch.float32, device=h.device)
    if rows > 0:
        with torch.cuda.device_of(h):
            backward_kernel[(programs,)](
                grad_h_next, grad_x_next, h, e, h_next, a, b, weight, signal, grad_h, grad_e, grad_u, partial,
                rows, width, eps, BLOCK_ROWS=block_rows, BLOCK_WIDTH=block_width, num_warps=num_warps,
            )  # fmt: skip
    return grad_h, grad_e, grad_u, partial.sum(1)


def num_vector_gradients(grad_x_next: Tensor | None, signal: Tensor | None) -> int:
    """How many of ``a``, ``b``, ``weight``, ``signal`` get a gradient."""
    return 2 if grad_x_next is None else 3 if signal is None else 4


def num_programs(h: Tensor) -> int:
    """Programs of the backward: rows of sums for each vector's gradient."""
    rows, width = _rows(h)
    block_rows, _, num_warps = plan(width)
    return min(triton.cdiv(rows, block_rows), _resident_programs(h.device, num_warps))


FORWARD_MOVES = ("h", "e", "u", "h_next", "x_next")
"""Tensors of the state's size that the forward kernel reads or writes, each once."""
BACKWARD_MOVES = ("grad_h_next", "grad_x_next", "h", "e", "h_next", "grad_h", "grad_e", "grad_u")
"""Those of the backward kernel; it loads e twice, and the second time from the cache."""


def bytes_moved(h: Tensor, *, backward: bool) -> int:
    """Bytes that a forward, or a forward and a backward, move through memory, all tensors having the dtype of ``h``.

    Channel vectors are left out; the rows of sums that the backward writes, and torch adds up, are not.
    """
    _, width = _rows(h)
    moves = len(FORWARD_MOVES) + (len(BACKWARD_MOVES) if backward else 0)
    sums = 2 * 3 * num_programs(h) * width * 4 if backward else 0
    return moves * h.numel() * h.element_size() + sums


def _rows(h: Tensor) -> tuple[int, int]:
    width = h.shape[-1]
    return h.numel() // width, width


def _resident_programs(device: torch.device, num_warps: int) -> int:
    """About as many programs as fit on the device at once: 16 warps of 128 registers a thread fill an SM."""
    multiprocessors = 1  # the interpreter: several programs with several tiles each, so that tests see both loops
    if device.type == "cuda":
        multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count
    return multiprocessors * max(1, 16 // num_warps)


def _cases() -> list[AotCase]:
    pointers = ["h_ptr", "e_ptr", "a_ptr", "b_ptr", "weight_ptr", "signal_ptr", "h_next_ptr"]
    scalars = {"num_rows": "i32", "width": "i32", "eps": "fp32"}
    forward_pointers = dict.fromkeys([*pointers, "u_ptr", "x_next_ptr"], "*{dtype}")
    gradients = ["grad_h_next_ptr", "grad_x_next_ptr", "grad_h_ptr", "grad_e_ptr", "grad_u_ptr"]
    backward_pointers = dict.fromkeys([*pointers, *gradients], "*{dtype}") | {"partial_ptr": "*fp32"}
    kernels: list[tuple[Any, dict[str, str], list[tuple[str, ...]]]] = [
        (forward_kernel, forward_pointers, [(), ("signal_ptr",)]),
        (backward_kernel, backward_pointers, [(), ("signal_ptr",), ("grad_h_next_ptr",), ("grad_x_next_ptr",)]),
    ]
    cases = []
    for kernel, kernel_pointers, absences in kernels:
        for width in (64, 8192):  # many rows in a tile; the widest row
            block_rows, block_width, num_warps = plan(width)
            for absent in absences:
                constants = dict.fromkeys(absent) | {"BLOCK_ROWS": block_rows, "BLOCK_WIDTH": block_width}
                label = " ".join([f"d={width}", *(f"no {name.removesuffix('_ptr')}" for name in absent)])
                cases.append(AotCase(kernel, label, kernel_pointers | scalars, constants, num_warps, ("width",)))
    return cases


AOT_CASES = _cases()
