"""What depth of each token's own saves in decoding: lazy depth for one request, continuous depth batching for many.

Every variant runs once in each round, in turn, on one thread, and ratios are medians over rounds, so that a busy
machine slows all alike. Seconds are the process's own. Pairs are of a position and an iteration of the core.
The most that batching over depths could have are the same pairs in full batches of requests that are equally deep.
Depths of requests are known when they are queued, so who queues may put the deepest first; no queue is as even.

    python -m benchmarks.depths
    python -m benchmarks.depths --widths 512 --core-depth 4 --slots 16
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer
from mythos_blocks.generation import Decoder, Engine, LazyDecoder, Sampling

VOCAB = 512
GREEDY = Sampling(temperature=0.0)
Measured = tuple[float, int]
"""Seconds, and pairs computed."""


def model_of(width: int, attention: str, loops: int, core_depth: int) -> LoopedTransformer:
    layer = {"attention": attention}
    return LoopedTransformer(
        VOCAB,
        width=width,
        prelude={"depth": 1, "layer": layer},
        core={
            "depth": core_depth,
            "layer": layer,
            "injection": "lti",
            "depth_signal": "sinusoidal",
            "loops": {"kind": "fixed", "num_loops": loops},
        },
        coda={"depth": 1, "layer": layer},
    ).eval()


def everything(model: LoopedTransformer, prompt: Tensor, following: Tensor) -> Callable[[], Measured]:
    """Decoding in which each token runs all loops."""
    num_new = following.shape[1]
    decoder = Decoder(model, 1, capacity=prompt.shape[1] + num_new)
    decoder.prefill(prompt)

    def run() -> Measured:
        decoder.cache.truncate(prompt.shape[1])
        begin, pairs = time.process_time(), 0
        for i in range(num_new):
            decoder.step(following[:, i])
            pairs += int(decoder.executed.sum())
        return time.process_time() - begin, pairs

    return run


def lazily(
    model: LoopedTransformer, prompt: Tensor, following: Tensor, counts: Sequence[int]
) -> Callable[[], Measured]:
    """Lazy depth, at a count for each token; prompts are as deep as the first of them."""

    def run() -> Measured:
        most = model.core.loops.eval_loops
        capacity = prompt.shape[1] + len(counts)
        decoder = LazyDecoder(model, 1, capacity=capacity, iterations=counts[0], max_loops=most)
        decoder.prefill(prompt)
        begin, before = time.process_time(), decoder.num_computed
        for i, count in enumerate(counts):
            decoder.iterations = count
            decoder.step(following[:, i])
        return time.process_time() - begin, decoder.num_computed - before

    return run


def waiting(
    model: LoopedTransformer, prompts: Sequence[Tensor], counts: Sequence[int], num_new: int, slots: int, own: bool
) -> Callable[[], Measured]:
    """Batches that wait for their deepest request: each request runs its own count, or all run the deepest one."""

    def run() -> Measured:
        begin, pairs = time.process_time(), 0
        for first in range(0, len(prompts), slots):
            batch = torch.stack(list(prompts[first : first + slots]))
            asked = torch.tensor(counts[first : first + slots])
            iterations = asked if own else int(asked.max())
            decoder = Decoder(model, len(batch), capacity=batch.shape[1] + num_new, iterations=iterations)
            logits = decoder.prefill(batch)
            pairs += int(decoder.executed.sum())
            zeros = torch.zeros(len(batch), dtype=torch.float64)
            for _ in range(num_new - 1):
                logits = decoder.step(GREEDY.draw(logits, zeros))
                pairs += int(decoder.executed.sum())
        return time.process_time() - begin, pairs

    return run


def sorted_by_depth(
    model: LoopedTransformer, prompts: Sequence[Tensor], counts: Sequence[int], num_new: int, slots: int
) -> Callable[[], Measured]:
    """The same pairs in full batches of one depth each, as if requests came sorted: no engine can know of so many.

    Of each depth one batch is run, and counted as often as it has requests for.
    """
    batch = prompts[:slots]
    runs = {depth: waiting(model, batch, [depth] * slots, num_new, slots, own=False) for depth in sorted(set(counts))}

    def run() -> Measured:
        seconds, pairs = 0.0, 0.0
        for depth, each in runs.items():
            often = counts.count(depth) / slots
            of_batch, of_pairs = each()
            seconds, pairs = seconds + often * of_batch, pairs + often * of_pairs
        return seconds, round(pairs)

    return run


def continuously(
    model: LoopedTransformer,
    prompts: Sequence[Tensor],
    counts: Sequence[int],
    num_new: int,
    slots: int,
    leave_every: int,
) -> Callable[[], Measured]:
    """The engine."""

    def run() -> Measured:
        begin = time.process_time()
        engine = Engine(model, num_slots=slots, capacity=len(prompts[0]) + num_new, leave_every=leave_every)
        for prompt, count in zip(prompts, counts, strict=True):
            engine.submit(prompt, num_loops=count, max_new_tokens=num_new, sampling=GREEDY)
        for _ in engine:
            pass
        seconds, work = time.process_time() - begin, engine.work
        run.occupied = work.occupied / (work.num_steps * slots)  # type: ignore[attr-defined]
        run.over_wanted = work.computed / work.wanted  # type: ignore[attr-defined]
        return seconds, work.computed

    return run


def compare(title: str, variants: dict[str, Callable[[], Measured]], tokens: int, rounds: int) -> None:
    """Print a table in which the first variant is the measure of the others."""
    measured: dict[str, list[Measured]] = {name: [] for name in variants}
    order = list(variants)
    for i in range(rounds):
        for name in order[i % len(order) :] + order[: i % len(order)]:
            measured[name].append(variants[name]())
    print(f"\n{title}\n{'':44}  ms/token  faster by  pairs/token")
    first = measured[order[0]]
    for name, own in measured.items():
        ratio = median(a / b for (a, _), (b, _) in zip(first, own, strict=True))
        each = 1e3 * median(seconds for seconds, _ in own) / tokens
        line = f"{name:44}  {each:8.2f}  {ratio:9.2f}  {own[0][1] / tokens:11.2f}"
        if hasattr(variants[name], "occupied"):
            run: object = variants[name]
            line += f"   computed / wanted {run.over_wanted:.3f}, places taken {run.occupied:.2f}"  # type: ignore[attr-defined]
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 512], help="channels of the models")
    parser.add_argument("--attention", default="gqa", help="kind of attention")
    parser.add_argument("--loops", type=int, default=16, help="iterations of the core, at most")
    parser.add_argument("--core-depth", type=int, default=1, help="layers of the core")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=20, help="tokens to generate for each request")
    parser.add_argument("--slots", type=int, nargs="+", default=[8, 16], help="requests at a time")
    parser.add_argument("--requests", type=int, default=48, help="requests in all")
    parser.add_argument(
        "--leave-every", type=int, nargs="+", default=[1, 4], help="iterations between two looks of the engine"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant is timed")
    parser.add_argument("--only", choices=("lazy", "engine"), help="one of the two tables")
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    prompt, following = (torch.randint(VOCAB, (1, n), generator=generator) for n in (args.prompt, args.new))
    few = torch.randint(1, 4, (args.new,), generator=generator).tolist()
    plans = {
        "every token 1 loop": [1] * args.new,
        "every token 2 loops": [2] * args.new,
        "1 to 3 loops, at random": few,
        "2 loops, every tenth token all": [args.loops if i % 10 == 9 else 2 for i in range(args.new)],
        "every token all loops": [args.loops] * args.new,
    }
    requests = torch.randint(VOCAB, (args.requests, args.prompt), generator=generator).unbind()
    depths = [args.loops // (8, 4, 2, 1)[int(i)] for i in torch.randint(4, (args.requests,), generator=generator)]
    for width in args.widths:
        model = model_of(width, args.attention, args.loops, args.core_depth)
        which = f"width {width}, {args.attention}, core of {args.core_depth}, {args.loops} loops"
        if args.only != "engine":
            runs = {name: lazily(model, prompt, following, counts) for name, counts in plans.items()}
            variants = {"all loops, without lazy depth": everything(model, prompt, following), **runs}
            compare(f"Lazy depth, one request: {which}", variants, args.new, args.rounds)
        if args.only != "lazy":
            for slots in args.slots:
                given = (model, requests, depths, args.new, slots)
                order = sorted(range(args.requests), key=lambda i: -depths[i])
                deepest = (model, [requests[i] for i in order], [depths[i] for i in order], args.new, slots)
                variants = {
                    "batches, all at their deepest's depth": waiting(*given, own=False),
                    "batches that wait, each at its own depth": waiting(*given, own=True),
                }
                variants["at most: full batches of one depth each"] = sorted_by_depth(*given)
                for due in args.leave_every:
                    variants[f"continuous, leaving every {due}"] = continuously(*given, leave_every=due)
                    variants[f"continuous, leaving every {due}, deepest first"] = continuously(
                        *deepest, leave_every=due
                    )
                title = f"{args.requests} requests of 2 to {args.loops} loops, {slots} at a time: {which}"
                compare(title, variants, args.requests * args.new, args.rounds)


if __name__ == "__main__":
    main()
