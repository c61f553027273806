"""The integer search: nearest legal sizes, few evaluations, several budgets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mythos_lab.search.budgets.solve import NoEffect, around, solve

deterministic = settings(derandomize=True, deadline=None, database=None, max_examples=200)


@st.composite
def costs(draw):
    """A cost of one size, as parameters and FLOPs are: a polynomial, or its inverse."""
    a, b, c = draw(st.integers(0, 10**6)), draw(st.integers(1, 10**4)), draw(st.integers(0, 100))
    falls = draw(st.booleans())
    return (lambda n: 1e9 / (a + b * n + c * n * n)) if falls else (lambda n: float(a + b * n + c * n * n))


@deterministic
@given(costs(), st.integers(1, 5000), st.integers(1, 2000), st.sampled_from([1, 2, 8, 24]))
def test_the_nearest_legal_size_is_found_with_few_evaluations(cost, wanted, start, step):
    """Every ``step``-th size is legal; the target need not be met by any."""
    seen = []

    def measure(sizes, _):
        if sizes[0] % step:
            return None
        seen.append(sizes[0])
        return cost(sizes[0])

    target = 1.003 * cost(wanted)
    found = solve(measure, [target], [start], 0.01)
    legal = range(step, 20_000, step)
    best = min(abs(cost(n) / target - 1) for n in legal)
    assert found.mismatch <= max(best + 1e-12, 0.001)
    assert found.values == (cost(found.sizes[0]),) and found.misses == (cost(found.sizes[0]) / target - 1,)
    assert len(seen) <= 24


@deterministic
@given(st.integers(1, 40), st.integers(8, 400), st.integers(1, 40), st.integers(8, 400))
def test_two_budgets_that_both_sizes_change(depth, hidden, first_depth, first_hidden):
    """Parameters and FLOPs of a stack behind an embedding: deeper and narrower computes more for its parameters."""

    def measure(sizes, j):
        d, h = sizes
        return float(5000 + d * (3 * 64 * h + 4000)) if j == 0 else float(d * (6 * 64 * h + 40_000))

    targets = [measure((depth, hidden), j) for j in (0, 1)]
    found = solve(measure, targets, (first_depth, first_hidden), 0.01)
    assert found.mismatch <= 0.01


def test_budgets_find_the_sizes_that_change_them():
    """The second size changes nothing but the third budget, and the order of the sizes does not matter."""

    def measure(sizes, j):
        width, steps, batch = sizes
        return float((width * width, width * batch, width * width * batch * steps)[j])

    found = solve(measure, [96.0**2, 96.0 * 40, 96.0**2 * 40 * 700], (64, 1000, 64), 0.01)
    assert found.sizes == (96, 700, 40)
    assert solve(lambda s, j: measure((s[2], s[0], s[1]), j), [96.0**2], (1000, 64, 64), 0.01).sizes == (1000, 64, 96)


def test_what_cannot_be_met_is_answered_with_the_nearest():
    found = solve(lambda sizes, j: float(sizes[0] + 90), [50.0], [7], 0.01)
    assert found.sizes == (1,) and found.misses == (91 / 50 - 1,)
    found = solve(lambda sizes, j: float(sizes[0]) if sizes[0] <= 64 else None, [100.0], [40], 0.01)
    assert found.sizes == (64,)
    assert solve(lambda sizes, j: None, [1.0], [3], 0.01) is None


def test_more_budgets_than_sizes_are_met_by_luck_or_missed():
    def measure(sizes, j):
        return float(sizes[0] if j == 0 else 2 * sizes[0])

    assert solve(measure, [30.0, 60.0], [4], 0.01).mismatch == 0
    found = solve(measure, [30.0, 66.0], [4], 0.01)
    assert found.sizes == (30,) and found.misses == (0, 60 / 66 - 1)


def test_sizes_that_no_budget_needs_help_where_one_alone_is_too_coarse():
    """Heads of eight channels: the width alone misses, and a deeper stack meets the budget."""

    def measure(sizes, j):
        depth, width = sizes
        return float(depth * width) if width % 8 == 0 else None

    assert solve(measure, [200.0], [2, 96], 0.001).mismatch == 0
    assert solve(lambda s, j: measure((2, *s), j), [200.0], [96], 0.001).mismatch > 0.02


def test_a_budget_that_nothing_changes_is_named():
    with pytest.raises(NoEffect) as error:
        solve(lambda sizes, j: float(7 if j == 1 else sizes[0]), [5.0, 9.0], [3], 0.01)
    assert error.value.budget == 1
    with pytest.raises(NoEffect):
        solve(lambda sizes, j: 7.0, [9.0], [3], 0.01)
    assert solve(lambda sizes, j: 7.0, [7.0], [3], 0.01).sizes == (3,)


def test_a_line_ends_between_neighbours():
    assert around(lambda n: n * 10.0, 47, 1, 0.0) == [4, 5]
    assert around(lambda n: n * 10.0, 50, 3, 0.0) == [5]
    assert around(lambda n: 100.0 / n, 30, 9, 0.0) == [3, 4]
    assert around(lambda n: None, 30, 9, 0.0) == []
