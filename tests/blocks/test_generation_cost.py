"""What decoding costs, in floating-point operations: positions that have stopped cost nothing."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mythos_blocks.generation import Decoder, generate
from tests.blocks.decoding import decoding_model
from tests.blocks.parts import tokens
from tests.blocks.test_generation_equals_full_pass import Settled, between, moves

BATCH, POSITIONS, LOOPS, EARLY = 8, 40, 16, 2


def flops(run):
    # The counter has no formula for the fused attention of CPUs; the plain one is matrix products.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    assert counter.get_total_flops() > 0
    return counter.get_total_flops()


def bare(**core):
    return decoding_model(LOOPS, prelude=0, coda=0, **core)


def halted_counts(share, shape, *, by_row):
    """Loop counts of which this share is EARLY, spread evenly over the rows, or over the positions of each."""
    num = shape[0] if by_row else shape[1]
    early = torch.arange(num) < round(share * num)
    early = early[torch.randperm(num, generator=torch.Generator().manual_seed(0))]
    counts = torch.where(early, EARLY, LOOPS)
    return counts if by_row else counts.expand(shape).contiguous()


@torch.no_grad()
@pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 0.9, 1.0])
def test_a_full_pass_costs_what_its_running_positions_cost(share):
    model, ids = bare(), tokens(BATCH, POSITIONS)
    costs = [flops(lambda n=n: model(ids, iterations=n)) for n in (1, 2, LOOPS)]
    per_loop, once = costs[1] - costs[0], 2 * costs[0] - costs[1]
    assert costs[2] == once + LOOPS * per_loop
    counts = halted_counts(share, (BATCH, POSITIONS), by_row=False)
    spent = flops(lambda: model(ids, iterations=counts))
    assert (spent - once) * counts.numel() == per_loop * int(counts.sum())
    assert flops(lambda: model(ids, iterations=counts, compact=False)) == (costs[2] if share < 1 else costs[1])


@torch.no_grad()
@pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 1.0])
def test_a_decoded_token_costs_what_its_running_requests_cost(share):
    model, ids = bare(), tokens(BATCH, POSITIONS)

    def step(iterations):
        decoder = Decoder(model, BATCH, iterations=LOOPS)
        decoder.prefill(ids)
        decoder.iterations = iterations
        return flops(lambda: decoder.step(ids[:, 0]))

    costs = [step(n) for n in (1, 2)]
    per_loop, once = costs[1] - costs[0], 2 * costs[0] - costs[1]
    counts = halted_counts(share, (BATCH, POSITIONS), by_row=True)
    assert (step(counts) - once) * BATCH == per_loop * int(counts.sum())


@torch.no_grad()
def test_an_exit_rule_saves_the_loops_that_it_says_it_saves():
    model, ids = bare(), tokens(BATCH, 10)
    rule = Settled(between(moves, model, 0.3))
    executed = []
    for column in range(ids.shape[1]):
        cost = {}
        for name, options in {"rule": {"exit": rule}, 1: {"iterations": 1}, 2: {"iterations": 2}}.items():
            decoder = Decoder(model, BATCH, **options)
            if column:
                decoder.prefill(ids[:, :column])
            cost[name] = flops(lambda decoder=decoder, column=column: decoder.step(ids[:, column]))
            if name == "rule":
                executed.append(decoder.executed)
        per_loop, once = cost[2] - cost[1], 2 * cost[1] - cost[2]
        assert (cost["rule"] - once) * BATCH == per_loop * int(executed[-1].sum())
    assert len(torch.cat(executed, 1).unique()) > 2


@torch.no_grad()
def test_cached_tokens_cost_the_same_however_long_the_text_but_for_attention():
    model = bare()

    def cost(prefix, cached):
        ids = tokens(1, prefix + 1)
        if not cached:
            return flops(lambda: model(ids))
        decoder = Decoder(model, 1)
        decoder.prefill(ids[:, :prefix])
        return flops(lambda: decoder.step(ids[:, -1]))

    attention = 2 * 2 * 32 * LOOPS  # of the token with one key: a product of 32 channels, twice
    assert cost(40, True) - cost(20, True) == 20 * attention
    assert cost(40, False) > 30 * cost(40, True)


@torch.no_grad()
def test_requests_that_have_ended_cost_nothing():
    model, ids = bare(), tokens(4, 6)
    options = {"max_new_tokens": 8, "temperature": 4.0}
    free = generate(model, ids, **options)
    end = int(free.tokens[0, 1])
    lengths = generate(model, ids, eos=end, **options).lengths
    assert lengths.min() < 8
    saved = flops(lambda: generate(model, ids, **options)) - flops(lambda: generate(model, ids, eos=end, **options))
    steps = []
    for i in range(1, 8):
        decoder = Decoder(model, 1)
        decoder.prefill(tokens(1, 6 + i - 1))
        steps.append(flops(lambda decoder=decoder: decoder.step(torch.tensor([0]))))
    assert saved == sum(cost * int((lengths <= i).sum()) for i, cost in enumerate(steps, start=1)) > 0


def test_the_benchmark_runs_and_counts_what_it_says(monkeypatch, capsys):
    script = Path(__file__).parents[2] / "benchmarks" / "generation.py"
    options = "--width 32 --loops 8 --batch 4 --prompt 8 --new 4 --rounds 1 --threads 1"
    monkeypatch.setattr(sys, "argv", [str(script), *options.split()])
    runpy.run_path(str(script), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    fewer = {line[:16]: [] for line in lines if "stop after" in line}
    for line in lines:
        if "stop after" in line:
            *_, operations, loops = map(float, line.split()[-5:])
            assert 1 <= operations <= loops
            fewer[line[:16]].append(loops)
    assert list(map(set, fewer.values())) == [{1.0}, {1.6}, {2.29}, {3.08}]
