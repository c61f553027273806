"""What a cache and adaptive depth save in decoding: tokens a second and floating-point operations a token, as ratios.

Every variant runs once in each round, in turn, and ratios are medians over rounds, so that a busy machine slows all
alike. Time is that of the process on a CPU and wall time elsewhere. Operations are counted by torch, with attention
as plain matrix products.

    python benchmarks/generation.py
    python benchmarks/generation.py --attention mla --loops 8 --device cuda --width 1024
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mythos_blocks import Exit, ExitState, LoopedTransformer
from mythos_blocks.exit.base import Read
from mythos_blocks.generation import Decoder
from mythos_blocks.tensors.rows import Index

EARLY = 2  # the iteration after which a share of the positions stops


class StopShare(Exit):
    """Stops a share of the positions, spread at random, after iteration EARLY."""

    kind = "stop_share"

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.seen, self.stopped = share, 0, 0
        self.generator = torch.Generator().manual_seed(0)

    def start(self, h: Tensor) -> ExitState:
        num = h.shape[0] * h.shape[1]
        self.seen += num
        early = int(self.share * self.seen + 1e-9) - self.stopped  # the share holds over calls, however small they are
        self.stopped += early
        chosen = torch.randperm(num, generator=self.generator) < early
        kept = {"early": chosen.view(h.shape[:2]).to(h.device), "ran": torch.zeros(h.shape[:2], device=h.device)}
        return ExitState(stopped=super().start(h).stopped, kept=kept)

    def observe(self, state: ExitState, old: Tensor, new: Tensor, read: Read, t: Index) -> ExitState:
        kept = {**state.kept, "ran": state.kept["ran"] + 1}
        return ExitState(stopped=state.stopped | (kept["early"] & (kept["ran"] >= EARLY)), kept=kept)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cpu":
        begin = time.process_time()
        run()
        return time.process_time() - begin
    torch.cuda.synchronize(device)
    begin = time.perf_counter()
    run()
    torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def flops(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.get_total_flops()


def compare(
    title: str,
    variants: dict[str, Callable[[], object]],
    tokens: int,
    ideal: Sequence[float] | None,
    args: argparse.Namespace,
) -> None:
    """Print a table in which the first variant is the measure of the others."""
    device = torch.device(args.device)
    counted = [flops(run) for run in variants.values()]
    times: list[list[float]] = [[] for _ in variants]
    order = list(enumerate(variants.values()))
    for i in range(args.rounds):
        for j, run in order[i % len(order) :] + order[: i % len(order)]:
            times[j].append(seconds(run, device))
    width = max(map(len, variants))
    print(f"\n{title}")
    print(f"{'':{width}}  tokens/s   MFLOP/token  faster by  fewer FLOPs by" + ("  fewer loops by" if ideal else ""))
    for j, name in enumerate(variants):
        ratio = median(first / own for first, own in zip(times[0], times[j], strict=True))
        line = f"{name:{width}}  {tokens / median(times[j]):8.0f}  {counted[j] / tokens / 1e6:12.3f}  {ratio:9.2f}"
        line += f"  {counted[0] / counted[j]:14.2f}"
        print(line + (f"  {ideal[j]:14.2f}" if ideal else ""))


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256, help="channels of the model")
    parser.add_argument("--attention", default="gqa", help="kind of attention")
    parser.add_argument("--loops", type=int, default=16, help="iterations of the core")
    parser.add_argument("--batch", type=int, default=8, help="requests")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=20, help="tokens to generate for each request")
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant is timed")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on a CPU")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    layer = {"attention": args.attention}
    model = LoopedTransformer(
        512,
        width=args.width,
        prelude={"depth": 1, "layer": layer},
        core={"layer": layer, "injection": "lti", "loops": {"kind": "fixed", "num_loops": args.loops}},
        coda={"depth": 1, "layer": layer},
    )
    model = model.eval().to(args.device)
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(512, (args.batch, args.prompt), generator=generator).to(args.device)
    following = torch.randint(512, (args.batch, args.new), generator=generator).to(args.device)
    print(f"width {args.width}, {args.attention}, {args.loops} loops, {args.batch} requests, prompts of {args.prompt}")

    def recompute() -> None:
        for i in range(1, args.new + 1):
            model(torch.cat((prompt, following[:, :i]), dim=1))

    def steps(share: float | None = None, batch: int = args.batch) -> Callable[[], None]:
        decoder = Decoder(model, batch, capacity=args.prompt + args.new)
        decoder.prefill(prompt[:batch])
        decoder.exit = None if share is None else StopShare(share)

        def run() -> None:
            decoder.cache.truncate(args.prompt)
            for i in range(args.new):
                decoder.step(following[:batch, i])

        return run

    compare(
        f"{args.new} tokens for each request, after the prompt",
        {"full pass for every token": recompute, "with a cache": steps()},
        args.batch * args.new,
        None,
        args,
    )
    shares = (0.0, 0.5, 0.75, 0.9)
    ideal = [1.0, *[args.loops / (share * EARLY + (1 - share) * args.loops) for share in shares]]
    names = ["all loops", *[f"{share:.0%} stop after {EARLY}" for share in shares]]
    for batch, title in (
        (1, "one request; of its tokens"),
        (args.batch, f"{args.batch} requests; of them, at each token"),
    ):
        runs = [steps(share, batch) for share in (None, *shares)]
        compare(f"Decoding {title}", dict(zip(names, runs, strict=True)), batch * args.new, ideal, args)
    passes = [lambda: model(prompt), *[lambda share=share: model(prompt, exit=StopShare(share)) for share in shares]]
    compare(
        "Reading prompts; of the positions, at random",
        dict(zip(names, passes, strict=True)),
        prompt.numel(),
        ideal,
        args,
    )


if __name__ == "__main__":
    main()
