"""``python -m mythos_kernels.bench``: kernels against eager torch and ``torch.compile``, on a CUDA device.

Rounds of the three are interleaved in one process; figures are medians, ratios are medians of per-round ratios.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_ROUNDS, _SHAPES = 21, ((16_384, 2048), (16_384, 512), (1024, 2048))


def main() -> int:
    """Print the table; 2 where there is no CUDA device."""
    if not torch.cuda.is_available():
        print("the benchmark needs a CUDA device", file=sys.stderr)
        return 2
    for line in lines():
        print(line, flush=True)
    return 0


def lines() -> Iterator[str]:
    """The table, a line as soon as it is measured."""
    from mythos_kernels import state_update
    from mythos_kernels.state_update import kernel, reference

    compiled = torch.compile(reference.state_update)
    variants = {"triton": state_update, "eager": reference.state_update, "compile": compiled}
    for rows, width in _SHAPES:
        h, e, u = (torch.randn(rows, width, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
        a, b, weight = (torch.rand(width, device="cuda", requires_grad=True) for _ in range(3))
        copy = _median_ms([h.detach().clone])[0]
        peak = 2 * h.numel() * 2 / copy / 1e6
        for name, backward in (("forward", False), ("forward + backward", True)):
            calls = [call(f, (h, e, u, a, b, weight), backward) for f in variants.values()]
            triton, eager, compile_ = _median_ms(calls)
            rate = kernel.bytes_moved(h, backward=backward) / triton / 1e6
            yield (
                f"({rows}, {width}) bf16 {name:<19} {rate:7.0f} GB/s ({rate / peak:.0%} of copy)"
                f"  eager/triton {eager / triton:.2f}  compile/triton {compile_ / triton:.2f}"
            )


def call(
    function: Callable[..., tuple[Tensor, Tensor]], inputs: tuple[Tensor, ...], backward: bool
) -> Callable[[], object]:
    """What is timed: the operation alone. The gradients of its outputs are there; nothing adds up what it returns."""
    gradients = [torch.randn_like(inputs[0]) for _ in range(2)]

    def run() -> object:
        outputs = function(*inputs)
        return torch.autograd.grad(outputs, inputs, gradients) if backward else outputs

    return run


def _median_ms(calls: list[Callable[[], object]]) -> list[float]:
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(_ROUNDS + 3):
        for call, kept in zip(calls, times, strict=True):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            if turn >= 3:
                kept.append(start.elapsed_time(end))
    return [statistics.median(kept) for kept in times]


if __name__ == "__main__":
    sys.exit(main())
