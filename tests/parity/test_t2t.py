"""Parts of tensor2tensor's Universal Transformer, written out one number at a time, against ours."""

import math

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import randn

WIDTH, LOOPS = 6, 4


def built(slot, **fields):
    part = mb.Slot(slot).resolve(fields).build(*((WIDTH, LOOPS) if slot == "depth_signal" else (WIDTH,))).double()
    for i, (_, parameter) in enumerate(sorted(part.named_parameters())):
        parameter.data += randn(*parameter.shape, seed=i).double() / 2
    return part


def layer_norm(v, norm):
    mean = sum(v) / len(v)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in v) / len(v) + 1e-6)
    return [(x - mean) / deviation * g + b for x, g, b in zip(v, norm.weight.tolist(), norm.bias.tolist(), strict=True)]


def dense(v, weight, bias):
    return [sum(w * x for w, x in zip(row, v, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def sigmoid(v):
    return [1 / (1 + math.exp(-x)) for x in v]


@torch.no_grad()
def test_the_gated_unit_keeps_its_input_where_the_gate_is_closed():
    unit = built("update", kind="gru_transition", norm={"kind": "layer", "eps": 1e-6})
    state, core = (randn(WIDTH, seed=i).double() for i in (20, 21))
    update, reset = (unit.gates.weight.tolist()[k : k + WIDTH] for k in (0, WIDTH))
    biases = unit.gates.bias.tolist()

    x = layer_norm(core.tolist(), unit.input_norm)
    both = x + state.tolist()
    z, r = sigmoid(dense(both, update, biases[:WIDTH])), sigmoid(dense(both, reset, biases[WIDTH:]))
    kept = [a * b for a, b in zip(r, state.tolist(), strict=True)]
    c = [math.tanh(v) for v in dense(x + kept, unit.candidate.weight.tolist(), unit.candidate.bias.tolist())]
    wanted = layer_norm([(1 - g) * a + g * b for g, a, b in zip(z, x, c, strict=True)], unit.output_norm)

    torch.testing.assert_close(unit(state, core)[0], torch.tensor(wanted, dtype=torch.float64))


@torch.no_grad()
def test_the_long_short_term_memory_normalises_what_comes_in_and_what_goes_out():
    unit = built("update", kind="lstm", norm={"kind": "layer", "eps": 1e-6})
    state, core, cell = (randn(WIDTH, seed=i).double() for i in (20, 21, 22))
    weight, bias = unit.gates.weight.tolist(), unit.gates.bias.tolist()

    both = layer_norm(core.tolist(), unit.input_norm) + state.tolist()
    i, f, g, o = (dense(both, weight[k : k + WIDTH], bias[k : k + WIDTH]) for k in range(0, 4 * WIDTH, WIDTH))
    i, f, g, o = sigmoid(i), sigmoid(f), [math.tanh(v) for v in g], sigmoid(o)
    memory = [c * b + a * d for c, b, a, d in zip(cell.tolist(), f, i, g, strict=True)]
    wanted = layer_norm([math.tanh(m) * v for m, v in zip(memory, o, strict=True)], unit.output_norm)

    ours, carried = unit(state, core, cell)
    torch.testing.assert_close(ours, torch.tensor(wanted, dtype=torch.float64))
    torch.testing.assert_close(carried, torch.tensor(memory, dtype=torch.float64))


def timing(position, width, longest=10_000.0):
    """Sines, then cosines, at wavelengths in geometric series from ``2 pi`` to ``2 pi longest``; a last zero if odd."""
    number = width // 2
    scaled = [position / longest ** (j / max(1, number - 1)) for j in range(number)]
    return [math.sin(x) for x in scaled] + [math.cos(x) for x in scaled] + [0.0] * (width % 2)


@torch.no_grad()
@pytest.mark.parametrize("width", [6, 7, 2])
@pytest.mark.parametrize("step", ["sinusoidal", "learned"])
def test_coordinates_are_the_timing_signals_of_position_and_step(width, step):
    signal = mb.Coordinates(width, LOOPS, form="t2t", step=step)
    if step == "learned":
        signal.reset_parameters(torch.Generator().manual_seed(0))
    for t in range(LOOPS):
        of_step = timing(t, width) if step == "sinusoidal" else (width**0.5 * signal.table[t]).tolist()
        wanted = torch.tensor([[p + s for p, s in zip(timing(i, width), of_step, strict=True)] for i in range(9)])
        torch.testing.assert_close(signal(t, torch.arange(9)), wanted, rtol=1e-5, atol=1e-5)


def test_a_learned_step_has_the_scale_of_unit_normal_numbers():
    signal = mb.Coordinates(400, 50, form="t2t", step="learned")
    signal.reset_parameters(torch.Generator().manual_seed(0))

    assert (signal.table * 20).std().item() == pytest.approx(1, rel=0.02)
