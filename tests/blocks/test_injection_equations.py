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
    hidden = silu(both @ ffn.gate.weight.T) * (both @ ffn.up.weight.T)
    for injection, wanted in (
        (concat, both @ concat.adapter.weight.T),
        (ffn, hidden @ ffn.down.weight.T),
        (film, h * (1 + scale) + shift),
    ):
        torch.testing.assert_close(injection.combine(h, e, signal), wanted + signal)
        assert torch.equal(injection.inject(h, e, signal.expand_as(h)), signal.expand_as(h))


@torch.no_grad()
def test_maps_channel_by_channel():
    h, e, signal = randn(2, 3, WIDTH), randn(2, 3, WIDTH, seed=1), randn(WIDTH, seed=2)
    blend, scaled = built("blend"), built("scaled_add")
    z = torch.sigmoid(torch.cat((h, e), -1) @ blend.gate.weight.T + blend.gate.bias)
    for injection, wanted in (
        (built("add"), h + e),
        (built("gate"), h * e),
        (scaled, h + scaled.scale * e),
        (blend, z * e + (1 - z) * h),
    ):
        torch.testing.assert_close(injection.combine(h, e, None), wanted)
        torch.testing.assert_close(injection.combine(h, e, signal), wanted + signal)


def test_declared_values_are_what_injections_start_with():
    for kind, field, name in (
        ("scaled_add", "initial_scale", "scale"),
        ("blend", "bias", "gate.bias"),
        ("lti", "initial_b", "B"),
    ):
        injection = make("injection", {"kind": kind, field: -3.0})
        injection.reset_parameters(torch.Generator())
        assert (injection.get_parameter(name) == -3.0).all(), kind


@torch.no_grad()
@pytest.mark.parametrize("time_step", ["scalar", "vector"])
@pytest.mark.parametrize("B", ["identity", "vector", "matrix"])
@pytest.mark.parametrize("discretization", ["euler", "exact", "raw"])
def test_the_linear_step_is_the_discretised_system(discretization, B, time_step):
    injection = built("lti_input", discretization=discretization, B=B, time_step=time_step, margin=0.0).double()
    h, e = randn(4, WIDTH).double(), randn(4, WIDTH, seed=1).double()
    dt = torch.log1p(torch.exp(injection.dt_bias)).expand(WIDTH)
    a = -torch.exp(injection.A_log)
    entering = e if injection.B is None else injection.B * e if B == "vector" else e @ injection.B.T
    if discretization != "exact":
        wanted = torch.exp(dt * a) * h + (dt * entering if discretization == "euler" else entering)
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

    injection = LTIInput(8, input_width=8, margin=0.0)
    injection.reset_parameters(torch.Generator())
    torch.testing.assert_close(injection.A(), torch.full((8,), 0.2**0.5))
    torch.testing.assert_close(
        torch.nn.functional.softplus(injection.dt_bias), torch.full((8,), 0.8047), atol=1e-4, rtol=0
    )
    assert torch.equal(injection.B, torch.eye(8))
    narrow = LTIInput(6, input_width=8)
    with torch.no_grad():
        narrow.reset_parameters(torch.Generator().manual_seed(0))
    torch.testing.assert_close(narrow.B @ narrow.B.T, torch.eye(6))
    with pytest.raises(ValueError, match="state as wide as the input"):
        LTIInput(8, input_width=6, B="vector")


@pytest.mark.parametrize("step", [-1e3, -30.0, 30.0, 1e3])
@pytest.mark.parametrize(
    "declared",
    [
        {"kind": "lti"},
        {"kind": "lti", "margin": 0.0},
        *(
            {"kind": "lti_input", "discretization": discretization, "time_step": time_step, "margin": margin}
            for discretization in ("euler", "exact", "raw")
            for time_step in ("scalar", "vector")
            for margin in (0.0, 2**-8)
        ),
    ],
    ids=str,
)
def test_values_and_gradients_of_a_stable_map_are_finite_wherever_its_parameters_go(declared, step):
    injection = make("injection", declared)
    for name, parameter in injection.named_parameters():
        if name not in ("B", "norm.weight"):
            parameter.data += step
    h, e, y = (randn(2, 3, WIDTH, seed=i).requires_grad_() for i in range(3))

    after, read = injection.advance(h, e, y, None)
    # A second iteration, since an injection may read h in combine alone.
    (after.sum() + read.sum() + injection.combine(h, e, None).sum()).backward()

    assert after.isfinite().all() and read.isfinite().all()
    for tensor in (h, e, y, *injection.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all()


@torch.no_grad()
def test_the_zero_order_hold_reaches_its_limits():
    """``(1 - exp(-dt a)) / a`` is dt where a vanishes, and 1 / a where dt a is large."""
    injection = make("injection", {"kind": "lti_input", "discretization": "exact", "B": "identity", "margin": 0.0})
    e = randn(3, WIDTH)
    injection.dt_bias.fill_(1.0)
    dt = torch.log1p(torch.exp(torch.tensor(1.0)))
    for a_log, wanted in ((-1e3, dt * e), (-19.0, dt * e), (5.0, torch.exp(torch.tensor(-5.0)) * e), (1e3, 0 * e)):
        injection.A_log.fill_(a_log)
        torch.testing.assert_close(injection.combine(torch.zeros_like(e), e, None), wanted, rtol=1e-5, atol=1e-7)
