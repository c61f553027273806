"""The joint fit on simulated sweeps whose truth is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from mythos_lab.comparison.worth import Cell, fit_law
from mythos_lab.comparison.worth.law import Law
from mythos_lab.comparison.worth.solver import huber, minimise
from tests.lab.comparison.worth.simulated import TRUTH, covered, sweep


@pytest.mark.parametrize("phi", [-0.3, 0.0, 0.46, 1.0, 1.3])
def test_without_noise_the_truth_comes_back(phi):
    fit = fit_law(sweep(np.random.default_rng(0), noise=0.0, phi=phi))
    for name, value in (TRUTH | {"phi": phi}).items():
        assert fit.parameters[name].value == pytest.approx(value, rel=1e-3, abs=1e-4), name
    assert fit.predicted == pytest.approx([cell.losses[0] for cell in fit.cells])


@pytest.mark.slow
def test_95_percent_intervals_hold_the_truth_in_95_percent():
    """At other noise `benchmarks.worth_intervals` tells."""
    rng = np.random.default_rng(1)
    held = [covered(fit_law(sweep(rng, noise=0.01)), TRUTH) for _ in range(200)]
    for name in TRUTH:
        assert 0.91 <= np.mean([one[name] for one in held]) <= 0.99, name


@pytest.mark.parametrize("phi", [0.0, 1.0])
def test_no_gain_and_layers_of_their_own_are_held_as_often(phi):
    rng = np.random.default_rng(2)
    fits = [fit_law(sweep(rng, noise=0.01, phi=phi), intervals=["phi"]) for _ in range(120)]
    assert 0.9 <= np.mean([fit.phi.low <= phi <= fit.phi.high for fit in fits]) <= 0.985
    assert np.mean([fit.phi.value for fit in fits]) == pytest.approx(phi, abs=0.01)


def test_a_small_sweep_covers_too():
    rng = np.random.default_rng(3)
    small = {"widths": (64, 128), "loops": (1, 2, 4), "noise": 0.01}
    fits = [fit_law(sweep(rng, **small), intervals=["phi"]) for _ in range(120)]
    assert 0.9 <= np.mean([fit.phi.low <= 0.46 <= fit.phi.high for fit in fits]) <= 0.99


def heavy(rng, cells):
    """One run in thirty ends far above the others of its cell."""
    return [
        replace(
            cell, losses={s: x * (1 + (rng.random() < 1 / 30) * rng.exponential(0.1)) for s, x in cell.losses.items()}
        )
        for cell in cells
    ]


def test_runs_gone_wrong_cost_little():
    """Against least squares, which is the Huber loss of a large threshold."""
    rng = np.random.default_rng(4)
    sweeps = [heavy(rng, sweep(rng)) for _ in range(60)]
    robust, squares = ([fit_law(cells, delta, ["phi"]) for cells in sweeps] for delta in (None, 1.0))
    assert np.mean([fit.phi.low <= 0.46 <= fit.phi.high for fit in robust]) >= 0.91
    errors = [np.sqrt(np.mean([(fit.phi.value - 0.46) ** 2 for fit in fits])) for fits in (robust, squares)]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("delta", [1e-3, 5e-3])
def test_the_minimum_is_scipys(delta):
    cells = sweep(np.random.default_rng(5), noise=0.01)
    law, targets = Law.of(cells), np.array([cell.log_loss for cell in cells])
    start = np.array([0.3, 0.4, 0.4, 0.5, 5.0, 5.0])
    ours, loss = minimise(law, targets, start[None], law.free, delta)
    theirs = least_squares(
        lambda theta: law.log_loss(theta[None])[0] - targets,
        start,
        jac=lambda theta: law.linearised(theta[None])[1][0],
        bounds=(law.low, law.high),
        loss="huber",
        f_scale=delta,
        x_scale="jac",
        ftol=1e-12,
        xtol=1e-12,
        gtol=1e-12,
        max_nfev=5000,
    )
    assert loss[0] == pytest.approx(theirs.cost, rel=1e-5)
    assert ours[0] == pytest.approx(theirs.x, rel=2e-3, abs=2e-3)


def test_derivatives_are_those_of_differences():
    rng = np.random.default_rng(6)
    law = Law.of(sweep(rng))
    theta = np.array([[0.4, 0.3, 0.3, 0.5, 4.4, 4.0]])
    _, slopes = law.linearised(theta)
    for i in range(6):
        step = np.zeros(6)
        step[i] = 1e-6
        difference = (law.log_loss(theta + step) - law.log_loss(theta - step)) / 2e-6
        assert slopes[..., i] == pytest.approx(difference, rel=1e-5, abs=1e-9)


def test_huber_by_hand():
    assert huber(np.array([[0.5, -2.0]]), 1.0) == pytest.approx([0.125 + 1.5])


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(0.01, 100), order=st.randoms(use_true_random=False))
def test_units_of_data_and_order_of_cells_do_not_matter(factor, order):
    cells = sweep(np.random.default_rng(7))
    before = fit_law(cells, intervals=["phi"])
    changed = [replace(cell, tokens=round(cell.tokens * factor)) for cell in cells]
    order.shuffle(changed)
    after = fit_law(changed, intervals=["phi"])
    for name in ("phi", "alpha", "beta", "E"):
        assert after.parameters[name].value == pytest.approx(before.parameters[name].value, rel=1e-2), name
    assert (after.phi.low, after.phi.high) == pytest.approx((before.phi.low, before.phi.high), abs=2e-3)


def test_more_seeds_narrow_the_interval():
    rng = np.random.default_rng(8)
    widths = [
        np.mean(
            [
                fit.phi.high - fit.phi.low
                for fit in (fit_law(sweep(rng, num_seeds=n), intervals=["phi"]) for _ in range(20))
            ]
        )
        for n in (2, 8)
    ]
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.2)


def test_equivalent_parameters_are_those_of_the_stack():
    fit = fit_law(sweep(np.random.default_rng(9)))
    cell = next(cell for cell in fit.cells if cell.loops == 4)

    def at(phi):
        return cell.num_once + cell.num_rec * 4**phi

    found = fit.equivalent(cell)
    assert (found.value, found.low, found.high) == pytest.approx((at(fit.phi.value), at(fit.phi.low), at(fit.phi.high)))
    assert at(0) == cell.num_stored and at(1) == cell.num_once + 4 * cell.num_rec
    plain = fit.equivalent(fit.cells[0])
    assert plain.value == plain.low == plain.high == fit.cells[0].num_stored


def test_what_is_not_varied_is_not_fitted():
    rng = np.random.default_rng(10)
    one_loop = fit_law(sweep(rng, loops=(4,)))
    assert one_loop.phi is None and "alpha" in one_loop.parameters
    with pytest.raises(ValueError, match="one loop count"):
        one_loop.equivalent(one_loop.cells[0])
    one_budget = fit_law(sweep(rng, tokens=(10**6,)))
    assert not {"beta", "B"} & set(one_budget.parameters)
    assert one_budget.phi.low <= 0.46 <= one_budget.phi.high
    # E stands for both: the loss that is left at any size.
    assert one_budget.parameters["E"].low <= TRUTH["E"] + TRUTH["B"] * 10 ** (-6 * TRUTH["beta"])


def test_open_ends_are_open():
    """Two token budgets tell neither E nor B nor beta; alpha and phi are told all the same."""
    fit = fit_law(sweep(np.random.default_rng(11), tokens=(10**6, 4 * 10**6), noise=0.002))
    assert fit.parameters["E"].low == 0 and fit.parameters["B"].high > 100 * fit.parameters["B"].low
    assert fit.phi.high - fit.phi.low < 0.2


def test_as_many_parameters_as_cells_leave_every_interval_open():
    fit = fit_law(sweep(np.random.default_rng(12), widths=(64,), loops=(1, 2), tokens=(10**6, 10**7)))
    assert fit.freedom < 1 and math.isnan(fit.scatter)
    assert (fit.phi.low, fit.phi.high) == (-math.inf, math.inf)


def test_losses_that_have_no_logarithm_are_refused():
    cells = sweep(np.random.default_rng(13))
    with pytest.raises(ValueError, match="not above 0"):
        fit_law([replace(cells[0], losses={0: 0.0}), *cells[1:]])
    with pytest.raises(ValueError, match="1 cell: at least two"):
        fit_law([Cell(1, 1, 1, 1, {0: 1.0})])
