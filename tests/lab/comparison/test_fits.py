"""Laws that a protocol fits over its arms: what is planted is found, and what cannot be told is not."""

import math

import numpy as np
import pytest

from mythos_lab.comparison.reproduce.bands import judge
from mythos_lab.comparison.reproduce.fits import HeldPower, PowerFit, WorthFit
from mythos_lab.comparison.reproduce.protocol import Band
from mythos_lab.comparison.reproduce.runs import Runs

ARMS = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0}


def runs(values):
    """Runs of arms with ``x`` by seed."""
    return Runs(
        {
            arm: {
                seed: {"status": "finished", "metrics": {"x": x}, "depth_curve": None} for seed, x in enumerate(found)
            }
            for arm, found in values.items()
        }
    )


def power(arms=ARMS, **values):
    return PowerFit(title="t", x="x", y="y", read="x", arms=arms).fitted(runs(values))


def test_a_planted_law_is_found():
    found = power(**{arm: [3 * x**0.98 * (1 + off) for off in (-0.01, 0.0, 0.01)] for arm, x in ARMS.items()})
    k, c = found.estimates["k"], found.estimates["c"]
    assert k.low < 0.98 < k.high < k.low + 0.03 and c.low < 3 < c.high and "R2 is 1.00" in found.finding


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [power(**{arm: x**0.5 * np.exp(0.3 * rng.normal(size=3)) for arm, x in ARMS.items()}) for _ in range(400)]
    share = np.mean([each.estimates["k"].low < 0.5 < each.estimates["k"].high for each in found])
    assert 0.92 < share < 0.98


@pytest.mark.parametrize(
    "values, said",
    [
        ({"a": [1.0]}, "cannot tell: 1 runs at 1 numbers"),
        ({"a": [1.0, 1.1, 1.2]}, "cannot tell: 3 runs at 1 numbers"),
        ({"a": [math.nan, None], "b": [0.0, -1.0]}, "cannot tell: 0 runs"),
    ],
)
def test_what_has_no_exponent_is_said_to_have_none(values, said):
    found = power(**values)
    assert found.finding.startswith(said) and not found.estimates
    band = Band(claim="c", of={"fit": "f", "read": "k"}, at_least=0)
    assert judge(band, runs({}), {"f": found}).outcome == "not measured"


def test_runs_without_a_value_are_counted_and_two_numbers_are_no_law():
    found = power(a=[1.0, 1.1, 0.0], b=[2.0, 2.1, math.nan])
    assert any(said.startswith("2 runs have no such value") for said in found.against)
    assert any(said.startswith("two numbers") for said in found.against)
    assert HeldPower.model_validate(found.model_dump()) == found, "a record keeps it whole"


@pytest.mark.parametrize(
    "low, high, outcome", [(0.3, 0.6, "holds"), (0.7, 0.9, "does not hold"), (0.5, 0.9, "open"), (None, 0.5, "open")]
)
def test_a_band_of_a_fit_is_held_against_its_interval(low, high, outcome):
    estimate = {"value": 0.5, "low": low, "high": high}
    fit = power(a=[1.0, 1.0], b=[2.0, 2.0]).model_copy(update={"estimates": {}})
    fit = HeldPower.model_validate({**fit.model_dump(), "estimates": {"k": estimate}})
    band = Band(claim="c", of={"fit": "f", "read": "k"}, at_least=0.26, at_most=0.66)
    assert judge(band, runs({}), {"f": fit}).outcome == outcome


def test_worth_of_arms_that_have_not_run_is_not_told():
    found = WorthFit(title="t", arms=["a", "b"]).fitted(runs({}))
    assert not found.estimates and found.finding.startswith("cannot tell: 0 cells")
    assert found.points().rows == [] and found.draw(None) is None
