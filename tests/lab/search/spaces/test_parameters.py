"""Values of many trials, held to their distributions together, as they would be one by one."""

import math

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.spaces.parameters import lie_in

DISTRIBUTIONS = {
    "rate": FloatDistribution(1e-3, 1.0, log=True),
    "depth": IntDistribution(1, 4),
    "kind": CategoricalDistribution([None, True, 2, 0.5, "none"]),
}
SOUND = [{"rate": 1e-3, "depth": 4, "kind": True}, {"rate": 1.0, "depth": 1, "kind": None}, {"kind": 2}]


def trials(params):
    """A trial of each, in the state that nothing holds them to."""
    return [
        FrozenTrial(
            number=i, trial_id=i, state=TrialState.RUNNING, value=None, datetime_start=None, datetime_complete=None,
            params=each, distributions={n: d for n, d in DISTRIBUTIONS.items() if n in each}, user_attrs={},
            system_attrs={}, intermediate_values={},
        )
        for i, each in enumerate(params)
    ]  # fmt: skip


def test_values_of_their_distributions_lie_there():
    assert lie_in(trials(SOUND)) and lie_in([])


@pytest.mark.parametrize(
    "name, value",
    [("rate", v) for v in (0.0, 1.1, math.nan, math.inf, 1, "0.5", None)]
    + [("depth", v) for v in (0, 5, True, 2.0, "2", 2**80)]
    + [("kind", v) for v in (1, 2.0, False, "True", [], math.nan)],
)
def test_one_that_does_not_is_noticed_among_those_that_do(name, value):
    assert not lie_in(trials([*SOUND, {name: value}, *SOUND]))


def test_a_value_without_a_distribution_is_noticed():
    found = trials(SOUND)
    found[1].params["other"] = 1.0
    assert not lie_in(found)


def test_steps_are_left_to_be_looked_at_one_by_one():
    found = trials([{"depth": 3}])
    found[0].distributions["depth"] = IntDistribution(1, 9, step=2)
    assert not lie_in(found)
