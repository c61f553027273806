"""Updates against their equations, over several iterations."""

import pytest
import torch

from tests.blocks.parts import WIDTH, make, randn


def unrolled(update, h, outputs):
    states, carry = [], update.start(h)
    for u in outputs:
        h, carry = update(h, u, carry)
        states.append(h)
    return states


OUTPUTS = [randn(2, 3, WIDTH, seed=i) for i in range(1, 5)]
START = randn(2, 3, WIDTH)


@torch.no_grad()
def test_gru_is_torchs_cell():
    gru = make("update", "gru")
    cell = torch.nn.GRUCell(WIDTH, WIDTH)
    cell.weight_ih.copy_(gru.of_output.weight)
    cell.bias_ih.copy_(gru.of_output.bias)
    cell.weight_hh.copy_(gru.of_state.weight)
    cell.bias_hh.copy_(gru.of_state.bias)
    h = START.flatten(0, 1)
    for state, u in zip(unrolled(gru, START, OUTPUTS), OUTPUTS, strict=True):
        h = cell(u.flatten(0, 1), h)
        torch.testing.assert_close(state.flatten(0, 1), h)


@torch.no_grad()
def test_lstm_is_torchs_cell():
    lstm = make("update", "lstm")
    cell = torch.nn.LSTMCell(WIDTH, WIDTH)
    weight = lstm.gates.weight
    cell.weight_ih.copy_(weight[:, :WIDTH])
    cell.weight_hh.copy_(weight[:, WIDTH:])
    cell.bias_ih.copy_(lstm.gates.bias)
    cell.bias_hh.zero_()
    h, c = START.flatten(0, 1), torch.zeros(6, WIDTH)
    for state, u in zip(unrolled(lstm, START, OUTPUTS), OUTPUTS, strict=True):
        h, c = cell(u.flatten(0, 1), (h, c))
        torch.testing.assert_close(state.flatten(0, 1), h)


@torch.no_grad()
def test_lanes_are_mixed_written_and_read():
    update = make("update", {"kind": "hyper_connections", "num_lanes": 3})
    lanes = [START] * 3
    for state, u in zip(unrolled(update, START, OUTPUTS), OUTPUTS, strict=True):
        lanes = [sum(update.mix[i, j] * lanes[j] for j in range(3)) + update.write[i] * u for i in range(3)]
        torch.testing.assert_close(state, sum(update.read[i] * lanes[i] for i in range(3)), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_lanes_start_as_a_residual():
    update, residual = make("update", "hyper_connections"), make("update", "residual")
    update.reset_parameters(torch.Generator())
    for one, other in zip(unrolled(update, START, OUTPUTS), unrolled(residual, START, OUTPUTS), strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
@pytest.mark.parametrize("of", ["output", "residual"])
def test_the_outer_norm_acts_on_the_state(of):
    update, u = make("update", {"kind": "outer_norm", "of": of}), OUTPUTS[0]
    z = u if of == "output" else START + u
    wanted = z / (z.square().mean(-1, keepdim=True) + 1e-6).sqrt() * update.norm.weight
    torch.testing.assert_close(update(START, u)[0], wanted)


@torch.no_grad()
def test_damped_and_gated_steps():
    u = OUTPUTS[0]
    torch.testing.assert_close(make("update", {"kind": "damped", "delta": 0.25})(START, u)[0], 0.75 * START + 0.25 * u)
    learned = make("update", {"kind": "damped", "delta": 0.2, "learned": True})
    share = torch.sigmoid(learned.logit)
    torch.testing.assert_close(learned(START, u)[0], START + share * (u - START))
    learned.reset_parameters(torch.Generator())
    torch.testing.assert_close(torch.sigmoid(learned.logit), torch.full((WIDTH,), 0.2))
    gated = make("update", "gated_residual")
    gate = torch.sigmoid(START @ gated.gate.weight.T + gated.gate.bias)
    torch.testing.assert_close(gated(START, u)[0], START + gate * u)
