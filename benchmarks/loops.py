"""What our loop costs over a hand-written one of the same equations: seconds as ratios, and counts that do not waver.

Both models hold the same weights and run in turn in one process, on one thread. Seconds are the process's own, and a
ratio is the median of the rounds' ratios, so that a busy machine slows both alike. Operations are those that torch
dispatches (views included), calls those of Python functions; both are counted as what an iteration more adds.

    python -m benchmarks.loops
    python -m benchmarks.loops --widths 64 --rounds 21
"""

from __future__ import annotations

import argparse
import gc
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.hand_written import VOCAB, HandWritten, declaration
from mythos_blocks import Decoder, LoopedTransformer

Run = Callable[[], object]

FEW, MORE = 4, 8  # loop counts whose difference says what an iteration adds


class _Operations(TorchDispatchMode):
    """Counts what torch dispatches, in a backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.num = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.num += 1
        return func(*args, **(kwargs or {}))


def num_operations(run: Run) -> int:
    with _Operations() as counter:
        run()
    return counter.num


def num_calls(run: Run) -> int:
    """Calls of Python functions."""
    num = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal num
        num += event == "call"

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # whoever listens to it is called at any time
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return num


@dataclass(frozen=True)
class Case:
    """One thing that both models do.

    Attributes:
        name: What it is.
        ours: From a width and a loop count to our model's run.
        theirs: The same of the hand-written one.
    """

    name: str
    ours: Callable[[int, int], Run]
    theirs: Callable[[int, int], Run]


def pair(width: int, num_loops: int) -> tuple[LoopedTransformer, HandWritten]:
    """Both models, with the same weights."""
    ours, theirs = LoopedTransformer(VOCAB, **declaration(width, num_loops)), HandWritten(width, num_loops)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def some_tokens(batch: int, positions: int) -> Tensor:
    return torch.randint(VOCAB, (batch, positions), generator=torch.Generator().manual_seed(0))


def passes(positions: int) -> Case:
    tokens = some_tokens(1, positions)

    def ours(width: int, num_loops: int) -> Run:
        model = pair(width, num_loops)[0].eval()
        return torch.no_grad()(lambda: model(tokens).logits)

    def theirs(width: int, num_loops: int) -> Run:
        model = pair(width, num_loops)[1].eval()
        return torch.no_grad()(lambda: model(tokens))

    return Case("forward", ours, theirs)


def steps(positions: int) -> Case:
    tokens = some_tokens(1, positions)

    def ours(width: int, num_loops: int) -> Run:
        model = pair(width, num_loops)[0].train()

        def run() -> None:
            model.zero_grad()
            model(tokens).logits.square().mean().backward()

        return run

    def theirs(width: int, num_loops: int) -> Run:
        model = pair(width, num_loops)[1].train()

        def run() -> None:
            model.zero_grad()
            model(tokens).square().mean().backward()

        return run

    return Case("forward and backward", ours, theirs)


def decoding(batch: int, prompt: int, num_new: int) -> Case:
    tokens = some_tokens(batch, prompt + num_new)

    def ours(width: int, num_loops: int) -> Run:
        decoder = Decoder(pair(width, num_loops)[0].eval(), batch, capacity=prompt + num_new)
        decoder.prefill(tokens[:, :prompt])

        def run() -> None:
            decoder.cache.truncate(prompt)
            for i in range(prompt, prompt + num_new):
                decoder.step(tokens[:, i])

        return run

    def theirs(width: int, num_loops: int) -> Run:
        model = pair(width, num_loops)[1].eval()
        entries = model.entries(batch, prompt + num_new)
        with torch.no_grad():
            model(tokens[:, :prompt], entries)

        def run() -> None:
            for i in range(prompt, prompt + num_new):
                model(tokens[:, i : i + 1], entries, i)

        return torch.no_grad()(run)

    return Case(f"decoding {num_new} tokens, batch {batch}", ours, theirs)


def added(make: Callable[[int, int], Run], count: Callable[[Run], int], width: int) -> float:
    """What an iteration more adds to a count."""
    few, more = make(width, FEW), make(width, MORE)
    few(), more()
    return (count(more) - count(few)) / (MORE - FEW)


def seconds(run: Run, repeats: int) -> float:
    begin = time.process_time()
    for _ in range(repeats):
        run()
    return (time.process_time() - begin) / repeats


def ratio(ours: Run, theirs: Run, rounds: int, budget: float = 0.05) -> tuple[float, float, float]:
    """Median seconds of both and the median of the rounds' ratios; each round runs both, in turn first."""
    for run in (ours, theirs):
        run()
    repeats = max(1, int(budget / max(seconds(theirs, 2), 1e-6)))
    times: list[tuple[float, float]] = []
    for i in range(rounds):
        if i % 2:
            second, first = seconds(theirs, repeats), seconds(ours, repeats)
        else:
            first, second = seconds(ours, repeats), seconds(theirs, repeats)
        times.append((first, second))
    return median(a for a, _ in times), median(b for _, b in times), median(a / b for a, b in times)


def machine() -> str:
    """The machine in words."""
    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = f"{lines[0].split(': ', 1)[1]}, {len(lines)} cores" if lines else model
    return f"{model}, one thread, Python {platform.python_version()}, torch {torch.__version__}"


def table(cases: Sequence[Case], widths: Sequence[int], num_loops: int, rounds: int) -> list[str]:
    """The rows of the table, in Markdown."""
    num_decoded = {case.name: int(case.name.split()[1]) if case.name.startswith("decoding") else 1 for case in cases}
    rows = ["| what | width | ours, ms | hand-written, ms | ratio | operations an iteration | calls an iteration |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for case in cases:
        for width in widths:
            mine, other, over = ratio(case.ours(width, num_loops), case.theirs(width, num_loops), rounds)
            counts = []
            for count in (num_operations, num_calls):
                first, second = (added(make, count, width) for make in (case.ours, case.theirs))
                counts.append(f"{first / num_decoded[case.name]:.0f} / {second / num_decoded[case.name]:.0f}")
            cells = [case.name, str(width), f"{mine * 1e3:.2f}", f"{other * 1e3:.2f}", f"{over:.2f}", *counts]
            rows.append(f"| {' | '.join(cells)} |")
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 512], help="channels of the models")
    parser.add_argument("--loops", type=int, default=16, help="iterations of the core")
    parser.add_argument("--positions", type=int, default=64, help="tokens of a pass, and of a prompt")
    parser.add_argument("--new", type=int, default=16, help="tokens to decode")
    parser.add_argument("--rounds", type=int, default=11, help="how often both are timed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = [passes(args.positions), steps(args.positions)]
    cases += [decoding(batch, args.positions, args.new) for batch in (1, 8)]
    rows = table(cases, args.widths, args.loops, args.rounds)
    print(f"{args.loops} iterations, {args.positions} tokens; {machine()}\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
