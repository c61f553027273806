"""Injections against their equations."""

import pytest
import torch

from tests.blocks.parts import WIDTH, make, randn


def built(kind, width=WIDTH, input_width=WIDTH, **fields):
    from mythos_blocks import Slot

    injection = Slot("injection").resolve({"kind": kind, **fields}).build(width, input_width)
    for seed, parameter in enumerate(injection.parameters()):
        parameter.data.normal_(std=0.3, generator=torch.Generator().manual_seed(seed))
    return injection


@torch.no_grad()
@pytest.mark.parametrize("widths", [(WIDTH, WIDTH), (24, WIDTH)], ids=["equal", "a narrower state"])
def test_maps_of_state_and_input(widths):
    h, e, signal = randn(2, 3, widths[0]), randn(2, 3, widths[1], seed=1), randn(widths[0], seed=2)
    both = torch.cat((h, e), -1)
    concat, ffn, film = (built(kind, *widths) for kind in ("concat", "ffn", "modulated"))
    silu = torch.nn.functional.silu
    scale, shift = (e @ film.modulation.weight.T + film.modulation.bias).chunk(2, -1)
    for injection, wanted in (
        (concat, both @ concat.adapter.weight.T),
        (ffn, h + silu(both @ ffn.up.weight.T) @ ffn.down.weight.T),
        (film, h * (1 + scale) + shift),
    ):
        torch.testing.assert_close(injection.combine(h, e, signal), wanted + signal)
        assert torch.equal(injection.inject(h, e, signal.expand_as(h)), signal.expand_as(h))


@torch.no_grad()
def test_gate_and_scaled_add():
    h, e = randn(2, 3, WIDTH), randn(2, 3, WIDTH, seed=1)
    gate, scaled = built("gate"), built("scaled_add")
    z = torch.sigmoid(torch.cat((h, e), -1) @ gate.gate.weight.T + gate.gate.bias)
    torch.testing.assert_close(gate.combine(h, e, None), z * e + (1 - z) * h)
    torch.testing.assert_close(scaled.combine(h, e, None), h + scaled.scale * e)
    assert (make("injection", {"kind": "scaled_add", "initial_scale": 3.0}).spec.initial_scale) == 3.0


@torch.no_grad()
@pytest.mark.parametrize("time_step", ["scalar", "vector"])
@pytest.mark.parametrize("B", ["identity", "vector", "matrix"])
@pytest.mark.parametrize("discretization", ["euler", "exact"])
def test_the_linear_step_is_the_discretised_system(discretization, B, time_step):
    injection = built("lti_input", discretization=discretization, B=B, time_step=time_step, margin=0.0).double()
    h, e = randn(4, WIDTH).double(), randn(4, WIDTH, seed=1).double()
    dt = torch.log1p(torch.exp(injection.dt_bias)).expand(WIDTH)
    a = -torch.exp(injection.A_log)
    entering = e if injection.B is None else injection.B * e if B == "vector" else e @ injection.B.T
    if discretization == "euler":
        wanted = torch.exp(dt * a) * h + dt * entering
    else:  # h' = a h + B e, solved over dt by the exponential of the augmented matrix
        wanted = torch.empty_like(h)
        for c in range(WIDTH):
            for row in range(4):
                system = torch.tensor([[a[c], entering[row, c]], [0.0, 0.0]], dtype=torch.float64) * dt[c]
                wanted[row, c] = (
                    torch.linalg.matrix_exp(system) @ torch.tensor([h[row, c], 1.0], dtype=torch.float64)
                )[0]
    torch.testing.assert_close(injection.combine(h, e, None), wanted, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(injection.rho().double(), torch.exp(dt * a).max(), rtol=1e-6, atol=0)


def test_the_linear_step_starts_where_parcae_does():
    from mythos_blocks import LTIInput

    injection = LTIInput(8, 6, margin=0.0)
    injection.reset_parameters(torch.Generator())
    torch.testing.assert_close(injection.A(), torch.full((8,), 0.2**0.5))
    torch.testing.assert_close(
        torch.nn.functional.softplus(injection.dt_bias), torch.full((8,), 0.8047), atol=1e-4, rtol=0
    )
    assert torch.equal(injection.B, torch.eye(8, 6))
    with pytest.raises(ValueError, match="state as wide as the input"):
        LTIInput(8, 6, B="vector")
