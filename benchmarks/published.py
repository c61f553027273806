"""Our model against the published OpenMythos 0.5.0 with the same weights: training steps and cached decoding.

Both run in turn in one process, on one thread; seconds are the process's own, ratios medians of the rounds', theirs
over ours, so that above 1 ours is faster. All loops run in both: the published rule halts at once at its initial
weights, so the bias of its probability is set far below zero. The package is a development requirement; by itself it
comes by ``pip install --no-deps open-mythos==0.5.0``.

    python -m benchmarks.published
    python -m benchmarks.published --only decoding --rounds 21
    python -m benchmarks.published --only "64 experts" --memory
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.loops import machine, ratio
from mythos_blocks import Decoder, LoopedTransformer
from mythos_blocks.checkpoints import from_open_mythos

Pair = tuple[Callable[[], object], Callable[[], object]]

VOCAB = 512


def published() -> Any:
    """Its ``main`` module alone: the package's own import needs a tokenizer library."""
    spec = importlib.util.find_spec("open_mythos")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("open-mythos is not installed: pip install --no-deps open-mythos==0.5.0")
    path = Path(spec.submodule_search_locations[0]) / "main.py"
    found = importlib.util.spec_from_file_location("open_mythos_main", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["open_mythos_main"] = module
    found.loader.exec_module(module)
    return module


def models(
    width: int, experts: int, active: int, attention: str, num_loops: int
) -> tuple[nn.Module, LoopedTransformer]:
    """The published model and ours, with the same weights and equal logits."""
    heads = max(2, width // 32)
    latent = {"kv_lora_rank": width // 4, "q_lora_rank": 3 * width // 8, "qk_rope_head_dim": 16}
    sizes = {"qk_nope_head_dim": 32, "v_head_dim": 32, "expert_dim": width // 2, "lora_rank": 8}
    return with_config(
        vocab_size=VOCAB, dim=width, n_heads=heads, n_kv_heads=heads // 2, max_seq_len=1024, attn_type=attention,
        max_loop_iters=num_loops, n_experts=experts, n_shared_experts=1, n_experts_per_tok=active,
        **latent, **sizes,
    )  # fmt: skip


def with_config(**config: Any) -> tuple[nn.Module, LoopedTransformer]:
    """The published model of these fields of ``MythosConfig`` and ours, with the same weights and equal logits."""
    torch.manual_seed(0)
    package = published()
    theirs = package.OpenMythos(package.MythosConfig(**config))
    with torch.no_grad():
        theirs.recurrent.act.halt.bias.fill_(-20.0)
    ours = from_open_mythos(theirs.state_dict(), theirs.cfg)
    tokens = some_tokens(2, 8)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(tokens).logits, theirs.eval()(tokens), rtol=1e-4, atol=1e-5)
    return theirs, ours


def some_tokens(batch: int, positions: int) -> Tensor:
    return torch.randint(VOCAB, (batch, positions), generator=torch.Generator().manual_seed(0))


def training(batch: int, positions: int, **sizes: Any) -> Pair:
    """Forward and backward of one batch."""
    return steps(*models(**sizes), some_tokens(batch, positions))


def steps(theirs: nn.Module, ours: LoopedTransformer, tokens: Tensor) -> Pair:
    """Forward and backward of these tokens."""
    theirs.train(), ours.train()

    def their_step() -> None:
        theirs.zero_grad()
        theirs(tokens).square().mean().backward()

    def our_step() -> None:
        ours.zero_grad()
        ours(tokens).logits.square().mean().backward()

    return their_step, our_step


def decoding(batch: int, prompt: int = 64, new: int = 16, **sizes: Any) -> Pair:
    """Tokens after a prompt, one by one, with a cache."""
    theirs, ours = models(**sizes)
    tokens = some_tokens(batch, prompt + new)
    decoder = Decoder(ours.eval(), batch, capacity=prompt + new)
    decoder.prefill(tokens[:, :prompt])
    filled: dict[str, Any] = {}
    with torch.no_grad():
        theirs.eval()(tokens[:, :prompt], kv_cache=filled)

    @torch.no_grad()
    def their_run() -> None:
        cache = {key: dict(value) for key, value in filled.items()}
        for i in range(prompt, prompt + new):
            theirs(tokens[:, i : i + 1], kv_cache=cache, start_pos=i)

    def our_run() -> None:
        decoder.cache.truncate(prompt)
        for i in range(prompt, prompt + new):
            decoder.step(tokens[:, i])

    return their_run, our_run


def cases() -> dict[str, Callable[[], Pair]]:
    """What is measured, by name."""
    few, many = {"experts": 8, "active": 2}, {"experts": 64, "active": 4}
    gqa, mla = {"attention": "gqa"}, {"attention": "mla"}
    made: dict[str, Callable[[], Pair]] = {}
    for name, attention in (("GQA", gqa), ("MLA", mla)):
        for batch in (1, 8):
            made[f"decoding, {name}, batch {batch}, width 256"] = lambda a=attention, b=batch: decoding(
                b, width=256, num_loops=16, **few, **a
            )
    for loops, attention, name in ((8, gqa, ""), (16, gqa, ""), (8, mla, ", MLA")):
        made[f"training, 8 experts, 1,024 tokens, width 256, T {loops}{name}"] = lambda n=loops, a=attention: training(
            8, 128, width=256, num_loops=n, **few, **a
        )
    made["training, 8 experts, 256 tokens, width 128"] = lambda: training(2, 128, width=128, num_loops=8, **few, **gqa)
    made["training, 64 experts, 1,024 tokens, width 256"] = lambda: training(
        8, 128, width=256, num_loops=8, **many, **gqa
    )
    for width in (256, 64):
        made[f"training, 64 experts, 64 tokens, width {width}"] = lambda w=width: training(
            2, 32, width=w, num_loops=8, **many, **gqa
        )
    return made


def peak_bytes(step: Callable[[], object]) -> int:
    """The most bytes that a training step has alive beyond weights, gradients included, by torch's profiler."""
    with torch.profiler.profile(profile_memory=True) as profile:
        step()  # whose gradients the next one frees, which the profiler sees as it has seen them begin
        step()
    assert profile.profiler is not None and profile.profiler.kineto_results is not None
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(sizes))


def memory(names: Sequence[str]) -> list[str]:
    """The rows of the table of peak memory, in Markdown."""
    rows = ["| what | published, MiB | ours, MiB |", "| --- | ---: | ---: |"]
    for name in names:
        theirs, ours = (peak_bytes(step) / 2**20 for step in cases()[name]())
        rows.append(f"| {name} | {theirs:.1f} | {ours:.1f} |")
    return rows


def table(names: Sequence[str], rounds: int) -> list[str]:
    """The rows of the table, in Markdown."""
    rows = ["| what | published, ms | ours, ms | published over ours |", "| --- | ---: | ---: | ---: |"]
    for name in names:
        theirs, ours = cases()[name]()
        first, second, over = ratio(theirs, ours, rounds)
        rows.append(f"| {name} | {first * 1e3:.1f} | {second * 1e3:.1f} | {over:.2f} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the names of what is measured")
    parser.add_argument("--rounds", type=int, default=9, help="how often both are timed")
    parser.add_argument("--memory", action="store_true", help="peak memory of training steps instead of their time")
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in cases() if args.only in name]
    rows = memory([name for name in names if name.startswith("training")]) if args.memory else table(names, args.rounds)
    print(f"{machine()}\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
