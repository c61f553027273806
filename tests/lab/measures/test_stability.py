"""Loops whose Jacobian, exponents and end are known."""

import math

import pytest
import torch

import mythos_blocks as mb
from mythos_lab.measures import Samples, Subject, measure
from mythos_lab.measures.jacobian import Jacobian, states
from mythos_lab.measures.krylov import largest_eigenvalue, lyapunov_exponents
from mythos_lab.measures.regime import regime
from tests.lab.measures import planted

mb.load_plugins()


def linear(matrix, num_loops=8):
    """A loop that multiplies the state by a matrix."""
    return planted.model(matrix.repeat(num_loops, 1, 1))


def rotation(angle, width=planted.NUM_TOKENS):
    c, s = math.cos(angle), math.sin(angle)
    return torch.block_diag(*[torch.tensor([[c, -s], [s, c]])] * (width // 2))


def small(**core):
    model = mb.LoopedTransformer(
        12, width=8, core={"injection": "add", "loops": {"kind": "fixed", "num_loops": 3}, **core}
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5, generator=generator)
    return model.eval()


def found(model, samples, *measures):
    outcomes = measure(model, samples, list(measures))
    return {(v.quantity, v.loop): v.value for outcome in outcomes for v in outcome.values if not v.of}


EYE = torch.eye(planted.NUM_TOKENS)
KNOWN = {
    "contraction": (0.5 * EYE, 0.5, "settles"),
    "expander": (1.3 * EYE, 1.3, "drifts"),
    "identity": (EYE, 1.0, "settles"),
    "damped": (0.97 * EYE, 0.97, "settles"),
    "rotation": (rotation(2 * math.pi / 5), 1.0, "orbits"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_linear_loops_are_what_they_are(name):
    matrix, factor, end = KNOWN[name]
    values = found(linear(matrix), planted.samples(10), "loop_jacobian", "lyapunov", "regime")
    for t in range(1, 9):
        assert values["loop_jacobian/sigma_max", t] == pytest.approx(factor, rel=1e-3)
        assert values["loop_jacobian/rho", t] == pytest.approx(factor, rel=1e-3)
    assert values["stability/lyapunov", None] == pytest.approx(math.log(factor), abs=1e-3)
    assert values[f"stability/{end}", None] == 1


def test_what_stretches_once_need_not_grow():
    sheared = EYE.clone() * 0.5
    sheared[0, 1] = 3.0
    values = found(linear(sheared), planted.samples(10), "loop_jacobian", "regime")
    assert values["loop_jacobian/sigma_max", 1] == pytest.approx(float(torch.linalg.matrix_norm(sheared, 2)), rel=1e-3)
    assert values["loop_jacobian/rho", 1] == pytest.approx(0.5, rel=0.02)
    assert values["stability/settles", None] == 1


@pytest.mark.parametrize(
    "core",
    [{}, {"layer": "post_norm", "depth_signal": "learned"}, {"injection": "lti"}, {"kind": "hierarchical", "injection": None},
     {"update": "gru"}, {"halting": "act"}, {"layer": {"feedforward": "moe"}}],
    ids=str,
)  # fmt: skip
def test_products_are_those_of_the_dense_jacobian(core):
    core = {name: value for name, value in core.items() if value is not None}
    model = small(**core) if core.get("kind") != "hierarchical" else small_hierarchical()
    tokens = torch.randint(12, (2, 3), generator=torch.Generator().manual_seed(1))
    subject = Subject(model, Samples.of_tokens(tokens, tokens))
    state = list(states(subject, subject.samples.batches[0], 2))[1]
    jacobian = Jacobian(subject, state)
    sigma = largest_eigenvalue(jacobian.normal, jacobian.noise(), 24).sqrt()
    rho = largest_eigenvalue(jacobian.times, jacobian.noise(), 24)
    for row in range(2):

        def after(h, row=row):
            whole = state.h.clone()
            whole[row] = h.view(3, 8)
            return model.core.next_state(state, whole)[row].flatten()

        dense = torch.autograd.functional.jacobian(after, state.h[row].flatten().clone())
        assert float(sigma[row]) == pytest.approx(float(torch.linalg.matrix_norm(dense, 2)), rel=0.01)
        assert float(rho[row]) == pytest.approx(float(torch.linalg.eigvals(dense).abs().max()), rel=0.01)


def small_hierarchical():
    model = mb.LoopedTransformer(12, width=8, core={"kind": "hierarchical", "depth": 1})
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5, generator=torch.Generator().manual_seed(p.numel()))
    return model.eval()


def test_padding_is_in_no_jacobian():
    model = small()
    tokens = torch.randint(12, (2, 3), generator=torch.Generator().manual_seed(1))
    wide = torch.nn.functional.pad(tokens, (0, 4))
    real = torch.arange(7).expand(2, 7) < 3
    targets = torch.nn.functional.pad(tokens, (0, 4), value=-100)
    short = found(model, Samples.of_tokens(tokens, tokens), "loop_jacobian", "lyapunov")
    padded = found(model, Samples.of_tokens(wide, targets, real=real), "loop_jacobian")
    for key, value in padded.items():
        assert value == pytest.approx(short[key], rel=0.01), key


def test_the_exponents_of_the_henon_map():
    """0.41922 and ln 0.3 - 0.41922 (Sprott 2003), of 2,000 trajectories at once."""
    generator = torch.Generator().manual_seed(0)
    state = (torch.rand(2000, 2, generator=generator, dtype=torch.float64) - 0.5) * 0.2
    a, b = 1.4, 0.3

    def moved(s):
        return torch.stack([1 - a * s[:, 0] ** 2 + s[:, 1], b * s[:, 0]], 1)

    for _ in range(200):
        state = moved(state)

    def products():
        nonlocal state
        for _ in range(1500):
            x = state[:, 0]
            one, zero = torch.ones_like(x), torch.zeros_like(x)
            jacobian = torch.stack([torch.stack([-2 * a * x, one], 1), torch.stack([b * one, zero], 1)], 1)
            state = moved(state)
            yield lambda v, jacobian=jacobian: jacobian @ v

    start = torch.randn(2000, 2, 2, generator=generator, dtype=torch.float64)
    found = lyapunov_exponents(products(), start).mean(0)
    assert float(found[0]) == pytest.approx(0.41922, abs=1e-3)
    assert float(found[1]) == pytest.approx(math.log(b) - 0.41922, abs=1e-3)


@pytest.mark.parametrize("size, num", [(5, 5), (30, 30), (200, 40)])
def test_the_largest_eigenvalue_of_maps_that_are_not_symmetric(size, num):
    generator = torch.Generator().manual_seed(size)
    maps = torch.randn(3, size, size, generator=generator) / size**0.5
    maps[:, 0, 0] += 3.0  # apart from the rest
    found = largest_eigenvalue(lambda v: (maps @ v[..., None])[..., 0], torch.randn(3, size, generator=generator), num)
    assert torch.allclose(found.float(), torch.linalg.eigvals(maps).abs().amax(1), rtol=0.01)


@pytest.mark.parametrize("period", [2, 3, 7])
def test_a_cycle_is_an_orbit(period):
    points = torch.randn(period, 4, generator=torch.Generator().manual_seed(0))
    assert regime(points[torch.arange(40) % period], 1e-3) == "orbits"


def test_a_walk_drifts():
    walk = torch.randn(40, 64, generator=torch.Generator().manual_seed(0)).cumsum(0)
    assert regime(walk, 1e-3) == "drifts"
    assert regime(torch.full((40, 3), math.nan), 1e-3) == "drifts"
