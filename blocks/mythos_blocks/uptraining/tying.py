"""From a deep model to a looped one: tied weights, and low-rank updates for what tying loses.

Relaxed Recursive Transformers (arXiv 2410.20672): layer ``i + t * len(core)`` of an untied stack becomes layer i of the
core in loop t.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.uptraining.low_rank import LoopLoRALinears

Tying = Literal["stepwise", "average", "lower"]


@torch.no_grad()
def tie(core: nn.ModuleList, untied: nn.ModuleList, how: Tying = "average") -> None:
    """Set the core's layers from an untied stack.

    Args:
        core: The layers that will be looped.
        untied: The stack; a multiple of as many layers, of the same make.
        how: ``average`` of the layers that share one (section 3.1); the ``lower`` ones, those of the first loop; or
            ``stepwise``, layers at even intervals of the stack, the first and the last among them.

    Raises:
        ValueError: The stack's layers are not a multiple of the core's.
    """
    num_loops = _num_loops(core, untied)
    depth = len(core)
    for i, layer in enumerate(core):
        if how == "average":
            chosen = [untied[i + t * depth] for t in range(num_loops)]
        elif how == "lower":
            chosen = [untied[i]]
        else:
            last = len(untied) - 1
            chosen = [untied[round(i * last / (depth - 1)) if depth > 1 else 0]]
        states = [source.state_dict() for source in chosen]
        mean = {
            name: torch.stack([at_least_float32(state[name]) for state in states]).mean(0).to(value.dtype)
            for name, value in states[0].items()
        }
        layer.load_state_dict(mean)


def svd_residual(original: Tensor, tied: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best ``B A`` of that rank for ``original - tied``: truncated singular values (eq. 5).

    Shapes: ``(out, in), (out, in) -> (out, rank), (rank, in)``.
    """
    u, s, vt = torch.linalg.svd(at_least_float32(original) - at_least_float32(tied), full_matrices=False)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vt[:rank]


@torch.no_grad()
def relax(lora: LoopLoRALinears, core: nn.ModuleList, untied: nn.ModuleList) -> None:
    """Set the low-rank updates of the core's linears to what tying has lost, loop by loop.

    Raises:
        ValueError: The stack's layers are not as many loops of the core's as the updates have.
    """
    num_loops = _num_loops(core, untied)
    if num_loops != lora.num_loops:
        raise ValueError(
            f"the stack gives {num_loops} loops of {len(core)} layers, and the updates have {lora.num_loops}"
        )
    for key in lora.down:
        layer, name = key.replace("-", ".").split(".", 1)
        tied = core[int(layer)].get_parameter(f"{name}.weight")
        for t in range(num_loops):
            original = untied[int(layer) + t * len(core)].get_parameter(f"{name}.weight")
            up, down = svd_residual(original, tied, lora.rank)
            width = down.shape[0]
            lora.down[key][t].zero_()
            lora.up[key][t].zero_()
            lora.down[key][t, :width] = down
            lora.up[key][t, :, :width] = up / lora.scale


def _num_loops(core: nn.ModuleList, untied: nn.ModuleList) -> int:
    if len(untied) % len(core):
        raise ValueError(f"a stack of {len(untied)} layers is not a number of loops of {len(core)}")
    return len(untied) // len(core)
