"""All that a GPU is to be asked, in under eight minutes: what kernels compute, what they gain, and what a step takes.

Every kernel is held to its reference in float64, forward and backward. Then come the table of
``python -m mythos_kernels.bench``, and tokens a second of training steps of the ``small`` OpenMythos against the
published code with the same weights, both in bfloat16, in turn. What is not begun after seven minutes is left out, and
said.

    python -m benchmarks.gpu

It ends with 2 where there is no CUDA device, and with 1 where a kernel is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks import published
from mythos_blocks import load_plugins
from mythos_kernels import bench, state_update
from mythos_kernels.state_update import reference
from mythos_lab.recipe import Recipe, load_recipe

SECONDS = 7 * 60

# How far a number may be from the one of float64, in units of the largest of its tensor.
BOUNDS = {torch.float32: 2e-5, torch.float16: 2**-9, torch.bfloat16: 2**-7}

Operation = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Kernel:
    """A kernel and what it is held to.

    Attributes:
        public: The function that picks it.
        reference: What defines its meaning.
        inputs: From rows, width and dtype to its arguments, on the CPU.
    """

    public: Operation
    reference: Operation
    inputs: Callable[[int, int, torch.dtype], list[Tensor]]


def _states_and_channels(rows: int, width: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows * width)
    states = [torch.randn(rows, width, generator=generator).to(dtype) for _ in range(3)]
    return states + [torch.randn(width, generator=generator) for _ in range(3)]


KERNELS = {"state_update": Kernel(state_update, reference.state_update, _states_and_channels)}
SHAPES = ((1, 64), (1000, 768), (4096, 2048), (130, 5000), (64, 8192))


def error(kernel: Kernel, rows: int, width: int, dtype: torch.dtype, device: str) -> float:
    """The largest error of outputs and gradients, each in units of the largest number of its tensor in float64."""
    given = kernel.inputs(rows, width, dtype)
    results = []
    for operation, where, kind in ((kernel.public, device, None), (kernel.reference, device, torch.float64)):
        inputs = [x.to(where, kind or x.dtype).requires_grad_() for x in given]
        outputs = operation(*inputs)
        generator = torch.Generator().manual_seed(1)
        gradients = [torch.randn(x.shape, generator=generator).to(dtype).to(x) for x in outputs]
        results.append([*outputs, *torch.autograd.grad(outputs, inputs, gradients)])
    errors = [
        (found.double() - wanted).abs().max() / wanted.abs().max() for found, wanted in zip(*results, strict=True)
    ]
    return float(torch.stack(errors).max())  # which is NaN where one is


def checks(device: str, shapes: tuple[tuple[int, int], ...] = SHAPES) -> Iterator[tuple[bool, str]]:
    """Whether each kernel is right at each size and dtype, and a line that says so."""
    for name, kernel in KERNELS.items():
        for dtype, bound in BOUNDS.items():
            for rows, width in shapes:
                found = error(kernel, rows, width, dtype, device)
                holds = found <= bound  # a NaN holds nowhere
                verdict = "holds" if holds else "IS WRONG"
                yield holds, f"{name} ({rows}, {width}) {dtype}: {verdict}, error {found:.1e} of {bound:.1e}"


def as_published(recipe: Recipe) -> dict[str, Any]:
    """The sizes of a recipe of OpenMythos as the published code calls them, at the mean of its loop counts."""
    model: Any = recipe.model
    attention, experts = model.core.layer.attention, model.core.layer.feedforward
    task: Any = recipe.task
    return {
        "vocab_size": task.padded_vocab_size,
        "dim": model.width,
        "n_heads": attention.num_heads,
        "n_kv_heads": attention.num_heads,
        "max_seq_len": max(1024, task.length),
        "max_loop_iters": round(model.core.loops.mean),
        "prelude_layers": model.prelude.depth,
        "coda_layers": model.coda.depth,
        "attn_type": "mla",
        "kv_lora_rank": attention.kv_rank,
        "q_lora_rank": attention.q_rank,
        "qk_nope_head_dim": attention.nope_dim,
        "qk_rope_head_dim": attention.rope_dim,
        "v_head_dim": attention.value_dim,
        "n_experts": experts.num_experts,
        "n_shared_experts": experts.num_shared,
        "n_experts_per_tok": experts.num_active,
        "expert_dim": experts.expert_hidden,
        "rope_theta": attention.rope_theta,
        "lora_rank": model.core.depth_adapter.rank,
    }


def throughput(recipe: Recipe, device: str, batch: int, rounds: int) -> str:
    """Tokens a second of the published code and of ours in training steps of a recipe's sizes, all loops run."""
    config = as_published(recipe)
    theirs, ours = published.with_config(**config)
    task: Any = recipe.task
    length = task.length
    tokens = torch.randint(config["vocab_size"], (batch, length), generator=torch.Generator().manual_seed(0))
    pair = published.steps(theirs.to(device), ours.to(device), tokens.to(device))
    times: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        for kept, step in zip(times, pair, strict=True):
            seconds = _seconds(step, device)
            if number:  # the first round warms up
                kept.append(seconds)
    rates = [tokens.numel() / median(kept) for kept in times]
    ratio = median(a / b for a, b in zip(*times, strict=True))
    return (
        f"{recipe.name}, width {config['dim']}, {batch} x {length} tokens, {config['max_loop_iters']} loops, bfloat16: "
        f"published {rates[0]:,.0f} tokens/s, ours {rates[1]:,.0f}, published over ours {ratio:.2f}"
    )


def _seconds(step: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    with torch.autocast(device, torch.bfloat16):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="sequences of a training step")
    parser.add_argument("--rounds", type=int, default=7, help="how often both steps are timed")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("benchmarks.gpu needs a CUDA device, and torch finds none here", file=sys.stderr)
        return 2
    begin, wrong = time.monotonic(), 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    for holds, line in checks("cuda"):
        print(line, flush=True)
        wrong += not holds
    for line in bench.lines():
        print(line, flush=True)
        if time.monotonic() - begin > SECONDS:
            print("left out for time: the rest of the table, and the training steps")
            return int(wrong > 0)
    load_plugins()
    recipe = load_recipe("openmythos", ["size=small"])
    print(throughput(recipe, "cuda", asked.batch, asked.rounds), flush=True)
    print(f"{time.monotonic() - begin:.0f} s; {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
