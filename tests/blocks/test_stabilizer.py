"""Stabilisers: what they bound, what they leave alone, and at which cost."""

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import mythos_blocks as mb
from mythos_blocks.tensors.matrices import matrices
from mythos_blocks.tensors.spectrum import spectral_bounds
from tests.blocks.parts import LOOPS, WIDTH, declarations, make, model, randomise

# What has two dimensions and multiplies no state.
TABLES = {"gain", "depth_logits", "value_embedding.table.weight"}
OPTIONS = [
    ("feedforward", {"kind": "moe", "depth_conditioned": True}),
    ("attention", {"kind": "mha", "value_embeddings": 29}),
]
SIZE = 300


def spectra():
    i = torch.arange(SIZE, dtype=torch.float64) / SIZE
    return {
        "flat": torch.ones(SIZE),
        "cluster": 1 - 1e-3 * i,
        "lonely above a plateau": torch.cat((torch.ones(1), torch.full((SIZE - 1,), 0.99))),
        "lonely above a dense edge": torch.cat((torch.ones(1), 0.99 * (1 + torch.cos(math.pi * i[1:])) / 2)),
        "linear": 1 - i,
        "one direction": (i == 0).double(),
        "geometric": 0.9 ** (SIZE * i),
    }


def orthogonal(seed):
    drawn = torch.randn(SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(drawn)[0]


def largest(weight):
    return torch.linalg.matrix_norm(weight.double(), ord=2)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", spectra())
def test_the_norm_obeys_the_limit_whatever_the_spectrum(name, dtype):
    linear = nn.Linear(SIZE, SIZE, bias=False, dtype=dtype)
    linear.weight.copy_(3 * (orthogonal(0) * spectra()[name]) @ orthogonal(1).T)

    mb.SpectralClip(limit=0.7).apply(linear)

    assert 0.98 * 0.7 <= largest(linear.weight) <= 0.7 * (1 + 1e-3)
    once = linear.weight.clone()
    mb.SpectralClip(limit=0.7).apply(linear)
    assert torch.equal(linear.weight, once), "it is a projection"


@pytest.mark.parametrize("shape", [(500, 300), (300, 500), (3, 320, 300), (40, 30), (1, 7)])
@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_the_bounds_hold_and_are_near(shape, scale):
    weight = scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0))

    low, high = spectral_bounds(weight)

    norm = largest(weight)
    assert ((low <= norm * (1 + 1e-5)) & (high >= norm * (1 - 1e-5)) & (high <= low * 1.0101)).all()


def test_what_is_not_finite_has_no_norm_and_is_left_to_those_who_look_for_it():
    linear = nn.Linear(400, 400)
    with torch.no_grad():
        linear.weight[3, 4] = math.nan

    mb.SpectralClip(limit=1e-3).apply(linear)

    assert spectral_bounds(linear.weight)[1].isnan()
    assert linear.weight[0, 0].abs() > 0


def test_a_measurement_costs_a_few_dozen_products_with_a_vector():
    weight = torch.randn(1024, 1365, generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        spectral_bounds(weight)

    assert counter.get_total_flops() <= 48 * 2 * (2 * weight.numel())


@torch.no_grad()
def test_every_matrix_is_bounded_each_expert_on_its_own_and_small_ones_are_left_alone():
    built = model(2, layer={"feedforward": "moe"}, stabilizer={"kind": "spectral_clip", "limit": 0.7})
    randomise(built, std=0.2)
    feedforward = built.core.layers[0].feedforward
    feedforward.router.weight.mul_(0.01)
    feedforward.up[3].mul_(0.01)
    small = [feedforward.router.weight.clone(), feedforward.up[3].clone(), built.embedding.weight.clone()]

    built.after_optimizer_step()

    norms = [largest(p) for _, _, p in matrices(built.core.layers)]
    assert all((norm <= 0.7 * (1 + 1e-3)).all() for norm in norms)
    assert largest(feedforward.up).max() > 0.69
    for before, now in zip(small, (feedforward.router.weight, feedforward.up[3], built.embedding.weight), strict=True):
        assert torch.equal(before, now)


@torch.no_grad()
@pytest.mark.parametrize("groups", [6, 1])
def test_a_convolution_amplifies_no_signal_beyond_the_limit(groups):
    convolution = nn.Conv1d(6, 6, 5, groups=groups, bias=False)
    randomise(convolution, std=1.0)

    mb.SpectralClip(limit=0.5).apply(convolution)

    signal = torch.zeros(6, 100)
    operator = torch.autograd.functional.jacobian(convolution, signal).flatten(0, 1).flatten(1)
    assert 0.49 <= largest(operator) <= 0.5 * (1 + 1e-3)


@torch.no_grad()
@pytest.mark.parametrize(
    "slot, declared", declarations("attention", "feedforward", "norm", "layer", "depth_attention") + OPTIONS
)
def test_a_parameter_of_several_dimensions_is_a_matrix_or_a_table_that_is_not_touched(slot, declared):
    component = make(slot, declared) if slot != "norm" else mb.Slot("norm").resolve(declared).build(WIDTH, LOOPS)
    several = {name: p for name, p in component.named_parameters() if p.dim() >= 2}
    known = {name for name, _, _ in matrices(component)}
    before = {name: p.clone() for name, p in component.named_parameters()}

    mb.SpectralClip(limit=1e-3).apply(component)

    for name, parameter in component.named_parameters():
        assert torch.equal(parameter, before[name]) is (name not in known or not parameter.any()), name
    assert set(several) - known <= TABLES


def test_gains_of_loops_stay_what_they_were_for_any_number_of_loops():
    built = model(
        4,
        layer={"norm": "per_loop", "feedforward": {"kind": "moe", "depth_conditioned": True}},
        stabilizer="spectral_clip",
    )

    built.after_optimizer_step()

    assert (built.core.layers[0].attention_norm.gain == 1).all()
