"""Rounding by rows: how weights and states are quantised, to be measured and to be trained for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from mythos_blocks import Loop
from mythos_blocks.declaring.spec import Declaration
from mythos_blocks.tensors.matrices import matrices

Format = Literal["int8", "int4", "int3", "int2", "fp8"]

_LARGEST = {"int8": 127.0, "int4": 7.0, "int3": 3.0, "int2": 1.0, "fp8": 448.0}


class Rounding(Declaration):
    """How a training step changes the matrices of the core's layers, as rounding them for use would."""

    to: Format = Field(description="The format: each row's largest entry becomes its largest number.")
    form: Literal["nearest", "uniform"] = Field(
        "nearest",
        description="nearest rounds, and gradients pass as if nothing were rounded (straight-through; arXiv "
        "1712.05877); uniform adds noise of at most half the distance between two numbers of the format instead "
        "(arXiv 2104.09987), which those of whole numbers have evenly spaced.",
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Probability of each weight to be changed in a step, so that the others' gradients are unbiased "
        "(Quant-Noise, arXiv 2004.07320). Drawn anew in each step, and the same in all of its iterations.",
    )

    @model_validator(mode="after")
    def _numbers_are_evenly_spaced(self) -> Rounding:
        if self.form == "uniform" and self.to == "fp8":
            raise ValueError("form=uniform needs numbers that are evenly spaced: int8, int4, int3 or int2, not fp8")
        return self


@contextmanager
def rounding(declared: Rounding | None, core: Loop) -> Iterator[None]:
    """The span of a step's forward and backward pass, in which the core's layers have the weights that are declared.

    Gradients are those at the changed weights, and the optimiser applies them to the weights themselves, which are back
    afterwards to the bit. What is drawn comes from torch's global generators.
    """
    if declared is None:
        yield
        return
    with replaced(matrices_of(core), lambda weight: _changed(weight, declared)):
        yield


def check_rounding(declared: Rounding | None, core: Loop) -> None:
    """Refuse a rounding that changes nothing.

    Raises:
        ValueError: The core's layers have no matrices.
    """
    if declared is not None and not matrices_of(core):
        raise ValueError("training.rounding changes the matrices of the core's layers, which have none")


def matrices_of(core: Loop) -> list[nn.Parameter]:
    """The matrices of a core's layers, each once."""
    stacks = [stack for name in ("layers", "high_layers") if (stack := getattr(core, name, None)) is not None]
    return list(dict.fromkeys(weight for stack in stacks for _, _, weight in matrices(stack)))


@contextmanager
def replaced(weights: list[nn.Parameter], change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within it, these weights have the numbers that ``change`` makes of theirs; then they are what they were."""
    kept = [weight.data for weight in weights]
    try:
        for weight in weights:
            weight.data = change(weight.data)
        yield
    finally:
        for weight, data in zip(weights, kept, strict=True):
            weight.data = data


def round_rows(weight: Tensor, to: Format) -> Tensor:
    """A matrix ``(..., out, in)`` with each row rounded to a format, its largest entry to the format's largest."""
    nearest = _to_fp8 if to == "fp8" else torch.round
    return rounded_rows(_in_rows(weight), _LARGEST[to], nearest).view_as(weight)


def rounded_rows(x: Tensor, largest: float, nearest: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """``x`` with its last axis on the grid of a format, whose largest number its largest absolute entry becomes.

    Args:
        x: ``(..., entries)``; computed in float32 and given back in its own dtype.
        largest: The format's largest number.
        nearest: What brings a number to the nearest of the format.
    """
    step = _steps(x, largest)
    return (nearest(x.float() / step) * step).to(x.dtype)


def _changed(weight: Tensor, declared: Rounding) -> Tensor:
    """A matrix as a training step has it."""
    if declared.form == "nearest":
        changed = round_rows(weight, declared.to)
    else:
        noise = (torch.rand_like(weight, dtype=torch.float32) - 0.5).view_as(_in_rows(weight))
        changed = weight + (noise * _steps(_in_rows(weight), _LARGEST[declared.to])).view_as(weight).to(weight.dtype)
    if declared.share == 1:
        return changed
    return torch.where(torch.rand_like(weight, dtype=torch.float32) < declared.share, changed, weight)


def _in_rows(weight: Tensor) -> Tensor:
    """A matrix with what one output reads in the last axis: a convolution by channel has its taps there."""
    return weight.flatten(1) if weight.dim() > 2 and weight.shape[-1] == 1 else weight


def _steps(x: Tensor, largest: float) -> Tensor:
    """The distance between two numbers of an evenly spaced format, for each row: ``(..., 1)``."""
    return x.float().abs().amax(-1, keepdim=True).clamp_min(1e-30) / largest


def _to_fp8(x: Tensor) -> Tensor:
    return x.to(torch.float8_e4m3fn).float()
