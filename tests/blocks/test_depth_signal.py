"""Depth signals against their formulas, and what they say beyond the trained iterations."""

import cmath
import math

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import LOOPS, WIDTH, make, randn, randomise

POSITIONS = torch.tensor([[0, 1, 5], [3, 17, 200]])


def coordinate(i, c, width, theta=10_000.0):
    """Channel c of position or iteration i (arXiv 1807.03819, eq. 6-7)."""
    angle = i / theta ** ((c - c % 2) / width)
    return math.cos(angle) if c % 2 else math.sin(angle)


def coordinates(positions, width, theta=10_000.0):
    rows = [[coordinate(int(i), c, width, theta) for c in range(width)] for i in positions.flatten()]
    return torch.tensor(rows).view(*positions.shape, width)


@pytest.mark.parametrize("theta", [10_000.0, 50.0])
@pytest.mark.parametrize("t", [0, 3, 11])
def test_coordinates_are_of_position_and_iteration_which_counts_from_one(t, theta):
    signal = mb.Coordinates(12, LOOPS, theta=theta)
    step = coordinates(torch.tensor([t + 1]), 12, theta)[0]
    for positions in (POSITIONS, POSITIONS[1]):
        wanted = coordinates(positions, 12, theta) + step
        torch.testing.assert_close(signal(t, positions), wanted, rtol=0, atol=1e-4)


def test_coordinates_with_a_learned_step_add_its_row():
    signal = make("depth_signal", {"kind": "coordinates", "step": "learned"})
    for t, index in ((0, 0), (LOOPS - 1, LOOPS - 1), (LOOPS + 3, LOOPS - 1)):
        wanted = coordinates(POSITIONS, WIDTH) + signal.table[index]
        torch.testing.assert_close(signal(t, POSITIONS), wanted, rtol=0, atol=1e-4)
    assert signal.reach == LOOPS and mb.Coordinates(WIDTH, LOOPS).reach is None
    assert not list(mb.Coordinates(WIDTH, LOOPS).parameters())


def test_coordinates_need_an_even_width():
    with pytest.raises(ValueError, match="needs an even width in form 'paper', and it is 7"):
        mb.Coordinates(7, LOOPS)


def table(kind, beyond):
    fields = {"step": "learned"} if kind == "coordinates" else {}
    return make("depth_signal", {"kind": kind, "beyond": beyond, **fields})


TABLES = pytest.mark.parametrize("kind", ["learned", "coordinates"])


def iteration(signal, t):
    """The iteration's part of the signal."""
    out = signal(t, torch.tensor([0]))
    return out if out.dim() == 1 else (out - coordinates(torch.tensor([0]), WIDTH))[0]


@TABLES
@pytest.mark.parametrize("beyond", ["clamp", "zero", "extrapolate", "error"])
def test_a_trained_iteration_reads_its_row(kind, beyond):
    signal = table(kind, beyond)
    for t in range(LOOPS):
        torch.testing.assert_close(iteration(signal, t), signal.table[t])


@TABLES
def test_what_later_iterations_read(kind):
    for t in (LOOPS, LOOPS + 5):
        clamped, zero, line, refused = (table(kind, b) for b in ("clamp", "zero", "extrapolate", "error"))
        last, before = line.table[-1], line.table[-2]
        torch.testing.assert_close(iteration(clamped, t), last)
        assert not iteration(zero, t).any()
        torch.testing.assert_close(iteration(line, t), last + (t - LOOPS + 1) * (last - before))
        with pytest.raises(ValueError, match=f"iteration {t} is beyond the table's {LOOPS} rows"):
            iteration(refused, t)


def test_a_table_of_one_row_extrapolates_to_that_row():
    signal = mb.Learned(WIDTH, 1, beyond="extrapolate")
    randomise(signal)
    assert torch.equal(signal(5), signal.table[0])


@TABLES
def test_an_iteration_gives_gradient_to_the_rows_that_it_reads(kind):
    def grad(beyond, t):
        signal = table(kind, beyond)
        iteration(signal, t).sum().backward()
        return signal.table.grad[:, 0]

    torch.testing.assert_close(grad("clamp", 1), torch.tensor([0.0, 1, 0, 0]))
    torch.testing.assert_close(grad("clamp", 9), torch.tensor([0.0, 0, 0, 1]))
    torch.testing.assert_close(grad("extrapolate", 5), torch.tensor([0.0, 0, -2, 3]))


@pytest.mark.parametrize("std", [0.02, 0.5])
@TABLES
def test_the_initial_table_has_the_declared_deviation(kind, std):
    fields = {"step": "learned"} if kind == "coordinates" else {}
    signal = mb.Slot("depth_signal").resolve({"kind": kind, "std": std, **fields}).build(512, 64)
    signal.reset_parameters(torch.Generator().manual_seed(0))
    assert signal.table.std().item() == pytest.approx(std, rel=0.02)
    assert abs(signal.table.mean().item()) < 0.02 * std


@pytest.mark.parametrize(("num_channels", "theta"), [(None, 10_000.0), (10, 10_000.0), (6, 20.0)])
@pytest.mark.parametrize("t", [0, 1, 9])
def test_sinusoids_of_the_loop_index(t, num_channels, theta):
    signal = mb.Sinusoidal(WIDTH, LOOPS, num_channels=num_channels, theta=theta)
    channels = num_channels or 4
    angles = [t / theta ** (2 * i / channels) for i in range(channels // 2)]
    wanted = [math.sin(a) for a in angles] + [math.cos(a) for a in angles] + [0.0] * (WIDTH - channels)
    torch.testing.assert_close(signal(t), torch.tensor(wanted), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("num_channels", "theta"), [(None, 10_000.0), (WIDTH, 10_000.0), (6, 20.0)])
@pytest.mark.parametrize("t", [0, 1, 9])
def test_a_rotation_multiplies_channel_pairs_as_complex_numbers(t, num_channels, theta):
    signal, h = mb.Rotary(WIDTH, LOOPS, num_channels=num_channels, theta=theta), randn(2, 3, WIDTH)
    channels, wanted = num_channels or 4, h.clone()
    for i in range(channels // 2):
        turned = torch.complex(h[..., 2 * i], h[..., 2 * i + 1]) * cmath.exp(1j * t * theta ** (-2 * i / channels))
        wanted[..., 2 * i], wanted[..., 2 * i + 1] = turned.real, turned.imag
    torch.testing.assert_close(signal.transform(h, t), wanted, rtol=0, atol=1e-5)
    assert signal(t) is None and not signal.additive


def test_a_rotation_keeps_the_norm_of_every_pair():
    signal, h = mb.Rotary(WIDTH, LOOPS, num_channels=WIDTH), randn(2, 3, WIDTH)
    for t in range(3 * LOOPS):
        pairs = signal.transform(h, t).unflatten(-1, (-1, 2))
        torch.testing.assert_close(pairs.norm(dim=-1), h.unflatten(-1, (-1, 2)).norm(dim=-1))


def test_the_product_of_two_rotated_states_depends_on_the_difference_of_their_iterations():
    signal = mb.Rotary(WIDTH, LOOPS, num_channels=WIDTH, theta=20.0)
    a, b = randn(WIDTH), randn(WIDTH, seed=1)
    products = {}
    for s in range(6):
        for t in range(6):
            products.setdefault(s - t, []).append(float(signal.transform(a, s) @ signal.transform(b, t)))
    means = []
    for same in products.values():
        assert same == pytest.approx([same[0]] * len(same), abs=1e-4)
        means.append(same[0])
    assert min(abs(x - y) for i, x in enumerate(means) for y in means[:i]) > 1e-3


def test_the_gradient_of_a_rotation_is_the_rotation_back():
    signal, g = mb.Rotary(WIDTH, LOOPS, num_channels=8), randn(3, WIDTH, seed=1)
    h = randn(3, WIDTH).requires_grad_()
    (signal.transform(h, 3) * g).sum().backward()
    torch.testing.assert_close(signal.transform(h.grad, 3), g)


@pytest.mark.parametrize("num_channels", [3, WIDTH + 2])
def test_rotated_channels_are_even_and_at_most_the_width(num_channels):
    with pytest.raises(ValueError, match=f"num_channels={num_channels} must be even and at most width={WIDTH}"):
        mb.Rotary(WIDTH, LOOPS, num_channels=num_channels)


def test_channels_of_sinusoids_are_at_most_the_width():
    with pytest.raises(ValueError, match=f"num_channels={WIDTH + 1} must be at most width={WIDTH}"):
        mb.Sinusoidal(WIDTH, LOOPS, num_channels=WIDTH + 1)


@pytest.mark.parametrize("num_channels", [1, 2, 7, 9])
@pytest.mark.parametrize("t", [0, 1, 6])
def test_an_odd_number_of_sinusoids_lacks_the_last_cosine(num_channels, t):
    """Channel i has the wavelength of ``theta ** (2i / k)`` with k itself, odd or not."""
    signal = mb.Sinusoidal(WIDTH, LOOPS, num_channels=num_channels, theta=20.0)(t)
    num_sines = -(-num_channels // 2)
    angles = [t / 20.0 ** (2 * i / num_channels) for i in range(num_sines)]
    wanted = [*map(math.sin, angles), *map(math.cos, angles)][:num_channels]
    torch.testing.assert_close(signal, torch.tensor(wanted + [0.0] * (WIDTH - num_channels)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "declared", [{"kind": "learned"}, {"kind": "coordinates", "step": "learned"}, {"kind": "sinusoidal"}], ids=str
)
def test_a_negative_index_is_refused(declared):
    with pytest.raises(ValueError, match="iteration indices count from 0, and this one is -1"):
        make("depth_signal", declared)(-1, torch.arange(3))


def test_a_negative_rotation_is_refused():
    with pytest.raises(ValueError, match="iteration indices count from 0, and this one is -1"):
        make("depth_signal", "rotary").transform(randn(3, WIDTH), -1)


def test_no_signal_leaves_the_state_alone():
    signal, h = make("depth_signal", "none"), randn(2, 3, WIDTH)
    assert signal(2) is None and signal.transform(h, 2) is h and not list(signal.parameters())
