"""Depth signals and adapters: an index each, a row each, and the last row for every index beyond."""

import pytest
import torch

from tests.blocks.parts import EVERYTHING, LOOPS, WIDTH, declarations, make, model, randn, tokens

# Coordinates have a row for each position, a rotation adds nothing, and low-rank updates act inside the layers: they
# have tests of their own.
APART = ("coordinates", "rotary", "loop_lora")
SIGNALS = [declared for _, declared in declarations("depth_signal") if declared["kind"] not in APART]
ADAPTERS = [declared for _, declared in declarations("depth_adapter") if declared["kind"] not in APART]


@torch.no_grad()
@pytest.mark.parametrize("declared", SIGNALS, ids=str)
def test_a_signal_tells_the_trained_indices_apart(declared):
    signal = make("depth_signal", declared)
    rows = [signal(t) for t in range(LOOPS)]
    if rows[0] is None:
        assert rows == [None] * LOOPS and signal.reach is None
        return
    assert all(row.shape == (WIDTH,) and row.isfinite().all() for row in rows)
    assert not any(torch.equal(rows[i], rows[j]) for i in range(LOOPS) for j in range(i))


@torch.no_grad()
@pytest.mark.parametrize("declared", SIGNALS, ids=str)
def test_beyond_its_reach_a_signal_repeats_its_last_and_without_a_reach_it_goes_on(declared):
    signal = make("depth_signal", declared)
    if signal(0) is None:
        return
    beyond = [signal(t) for t in (LOOPS, 3 * LOOPS, 1000)]

    assert all(row.isfinite().all() for row in beyond)
    if signal.reach is None:
        assert not torch.equal(beyond[0], beyond[1])
    else:
        assert signal.reach == LOOPS
        assert all(torch.equal(row, signal(LOOPS - 1)) for row in beyond)


@torch.no_grad()
@pytest.mark.parametrize("declared", ADAPTERS, ids=str)
def test_beyond_its_reach_an_adapter_repeats_its_last(declared):
    adapter, u = make("depth_adapter", declared), randn(2, 3, WIDTH)
    rows = [adapter(u, t) for t in range(LOOPS)]

    assert all(row.shape == u.shape and row.isfinite().all() for row in rows)
    for t in (LOOPS, 3 * LOOPS, 1000):
        assert adapter.reach is None or torch.equal(adapter(u, t), rows[-1])
    if adapter.reach is None:
        assert all(torch.equal(row, u) for row in rows)
    else:
        assert adapter.reach == LOOPS
        assert not any(torch.equal(rows[i], rows[j]) for i in range(LOOPS) for j in range(i))


@pytest.mark.parametrize("t", range(LOOPS + 2))
@pytest.mark.parametrize("declared", [d for d in ADAPTERS if make("depth_adapter", d).table() is not None], ids=str)
def test_an_iteration_gives_gradient_to_its_own_row_alone(declared, t):
    adapter = make("depth_adapter", declared)

    adapter(randn(2, 3, WIDTH), t).square().sum().backward()

    touched = adapter.table().grad.flatten(1).abs().sum(1).nonzero().flatten().tolist()
    assert touched == [min(t, LOOPS - 1)]


def test_every_row_of_every_table_gets_gradient_when_all_loops_run():
    built = model(**EVERYTHING)

    built(tokens(), iterations=LOOPS).logits.square().mean().backward()

    for table in (built.core.depth_adapter.table(), built.core.depth_signal.table):
        assert table.shape[0] == LOOPS and (table.grad.abs().sum(1) > 0).all()


@torch.no_grad()
def test_sinusoids_are_sines_then_cosines_on_the_first_channels():
    signal = make("depth_signal", {"kind": "sinusoidal", "num_channels": 4})

    wanted = torch.zeros(WIDTH)
    wanted[:4] = torch.tensor([3.0, 0.03, 3.0, 0.03])
    wanted[:2], wanted[2:4] = wanted[:2].sin(), wanted[2:4].cos()
    torch.testing.assert_close(signal(3), wanted)


@torch.no_grad()
def test_a_longer_loop_than_trained_runs_and_goes_on_changing_the_logits():
    built = model(**{**EVERYTHING, "halting": "none"}).eval()

    logits = [built(tokens(), iterations=n).logits for n in (LOOPS, 3 * LOOPS)]

    assert logits[1].isfinite().all() and not torch.equal(*logits)


def test_adapter_mixes_u_by_the_definition():
    adapter, u = make("depth_adapter", {"kind": "depth_lora", "rank": 3}), randn(5, WIDTH)

    wanted = u + ((u @ adapter.down.weight.T) * adapter.scale[2]) @ adapter.up.weight.T

    torch.testing.assert_close(adapter(u, 2), wanted)
