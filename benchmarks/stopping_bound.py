"""The most that stopping early could save: iterations that cost what they cost for as many positions, and no more.

    python -m benchmarks.stopping_bound [--rounds 7]

``benchmarks/generation.py`` has a share of the positions stop after two of sixteen iterations. What that can save is
bounded by what fewer positions cost: the model is run with as many as are left, at all iterations and at two, from
which an iteration's cost follows, and the bound is the time of all over the time of two iterations of all positions and
fourteen of those left, where asking who stops and taking positions out costs nothing. Beside it stands the bound of the
products alone, timed bare at these numbers of rows, and what they compute for each byte of weights that they read.
In reading, positions that are left see the keys of those that have stopped too. The closest bound has the last ones of
each prompt run behind a cache of all others: as many rows, and attention to as many keys as those left have.
Lazy depth has the bound of a decoder that runs as few iterations for every token and is asked for no others. Variants
run in turn on one thread; a bound is the median of the rounds' ratios, by the process's CPU time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from benchmarks.generation import EARLY
from mythos_blocks import LoopedTransformer
from mythos_blocks.generation import Decoder
from mythos_blocks.tensors.matrices import matrices

LOOPS, BATCH, PROMPT, NEW = 16, 8, 64, 8
SHARES = (0.5, 0.75, 0.9)
Cost = Callable[[], float]


def seconds(run: Callable[[], object]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def reading(model: LoopedTransformer, positions: int, loops: int) -> Cost:
    """One pass over so many positions in sequences as long as the prompts, or in one that is shorter."""
    rows = max(1, positions // PROMPT)
    tokens = torch.zeros(rows, positions // rows, dtype=torch.long)
    return lambda: seconds(lambda: model(tokens, iterations=loops))


def reading_on(model: LoopedTransformer, positions: int, loops: int) -> Cost:
    """The last of the prompts, as many positions in all, behind the keys and values of those before them."""
    each = positions // BATCH
    prompt = torch.zeros(BATCH, PROMPT, dtype=torch.long)
    decoder = Decoder(model, BATCH, capacity=PROMPT, iterations=loops)
    decoder.prefill(prompt[:, each:])

    def run() -> None:
        decoder.cache.truncate(PROMPT - each)
        decoder.advance(prompt[:, :each])

    return lambda: seconds(run)


def decoding(model: LoopedTransformer, requests: int, loops: int) -> Cost:
    """Some tokens for so many requests."""
    prompt = torch.zeros(requests, PROMPT, dtype=torch.long)
    decoder = Decoder(model, requests, capacity=PROMPT + NEW, iterations=loops)
    decoder.prefill(prompt)

    def run() -> None:
        decoder.cache.truncate(PROMPT)
        for _ in range(NEW):
            decoder.step(prompt[:, 0])

    return lambda: seconds(run)


def products(weights: list[Tensor], rows: int, times: int) -> Cost:
    """The products of an iteration with so many rows, and nothing else."""
    states = [torch.zeros(rows, weight.shape[1]) for weight in weights]

    def run() -> None:
        for _ in range(times):
            for state, weight in zip(states, weights, strict=True):
                torch.nn.functional.linear(state, weight)

    return lambda: seconds(run) / times


def bounds(all_of: Cost, few_of: Cost, left: dict[float, tuple[float, Cost, Cost]], rounds: int) -> list[str]:
    """The bound of each share.

    Args:
        all_of: All positions at all iterations.
        few_of: All positions at the first two.
        left: By share: how often there are positions left at all, and those at all iterations and at the first two.
        rounds: How often each variant is timed.
    """
    found: dict[float, list[float]] = {share: [] for share in left}
    for _ in range(rounds):
        whole, first = all_of(), few_of()
        for share, (often, deep, shallow) in left.items():
            found[share].append(whole / (first + often * (deep() - shallow())))
    return [f"{median(ratios):.2f}" for ratios in found.values()]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, default=256)
    asked = parser.parse_args()
    rounds = asked.rounds
    torch.set_num_threads(1)
    layer = {"attention": "gqa"}
    model = LoopedTransformer(
        512,
        width=asked.width,
        prelude={"depth": 1, "layer": layer},
        core={"layer": layer, "injection": "lti", "loops": {"kind": "fixed", "num_loops": LOOPS}},
        coda={"depth": 1, "layer": layer},
    ).eval()
    weights = [weight.detach() for _, _, weight in matrices(model.core)]
    num = sum(weight.numel() for weight in weights)
    print(
        f"an iteration's products read {num * 4 / 2**20:.2f} MiB of weights and compute {2 * num / 1e6:.2f} MFLOP a row"
    )

    deep = decoding(model, 1, LOOPS)
    found = {loops: (decoding(model, 1, loops), list[float]()) for loops in (1, 2)}
    for _ in range(rounds):
        whole = deep()
        for shallow, ratios in found.values():
            ratios.append(whole / shallow())
    said = ", ".join(f"{loops}: {median(ratios):.2f}" for loops, (_, ratios) in found.items())
    print(
        f"one request, all {LOOPS} loops over a decoder that runs so many for every token and keeps no others: {said}"
    )

    for title, all_rows, run in (
        ("reading 8 prompts", BATCH * PROMPT, reading),
        ("decoding 8 requests", BATCH, decoding),
    ):
        # Of eight requests a tenth is one in four of five steps and none in the fifth.
        rows = {share: round(all_rows * (1 - share)) for share in SHARES}
        often = {share: all_rows * (1 - share) / rows[share] for share in SHARES}
        left = {
            share: (often[share], run(model, rows[share], LOOPS), run(model, rows[share], EARLY)) for share in SHARES
        }
        whole, first = run(model, all_rows, LOOPS), run(model, all_rows, EARLY)
        passes = bounds(whole, first, left, rounds)
        if run is reading:
            whole_prompts = {share: rows[share] // BATCH * BATCH for share in SHARES}
            behind = {
                share: (
                    all_rows * (1 - share) / num,
                    reading_on(model, num, LOOPS),
                    reading_on(model, num, EARLY),
                )
                for share, num in whole_prompts.items()
            }
            closest = bounds(whole, first, behind, rounds)
        times = max(1, 2000 // all_rows)
        each = {num: products(weights, num, times) for num in (all_rows, *rows.values())}
        bare: dict[int, list[float]] = {num: [] for num in each}
        for _ in range(rounds):
            for num, cost in each.items():
                bare[num].append(cost())
        micro = {num: 1e6 * median(costs) for num, costs in bare.items()}
        of_products = [
            f"{LOOPS * micro[all_rows] / (EARLY * micro[all_rows] + (LOOPS - EARLY) * often[s] * micro[rows[s]]):.2f}"
            for s in SHARES
        ]
        print(f"\n{title}; {', '.join(f'{share:.0%}' for share in SHARES)} stop after {EARLY} of {LOOPS}")
        print("  rows left:", *rows.values(), " of", all_rows)
        print("  microseconds of an iteration's products:", ", ".join(f"{n}: {us:.0f}" for n, us in micro.items()))
        print("  FLOP for a byte of weights:", ", ".join(f"{n}: {n / 2:g}" for n in micro))
        print("  at most, by the products:", *of_products)
        print("  at most, by passes of as many positions:", *passes)
        if run is reading:
            print("  at most, by passes of as many positions that see the keys of all:", *closest)


if __name__ == "__main__":
    main()
