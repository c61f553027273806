"""A journal's lines come to the trials that Optuna makes of them, however they are parted into readings."""

import random
from contextlib import suppress

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import TrialState

from mythos_lab.search.journal import Journal
from mythos_lab.search.replay import Replay
from mythos_lab.search.storage import open_storage

DISTRIBUTIONS = {
    "rate": [
        FloatDistribution(1e-4, 1.0, log=True),
        FloatDistribution(0.0, 1.0),
        FloatDistribution(1e-3, 1.0, log=True),
    ],
    "depth": [IntDistribution(1, 9, step=2), IntDistribution(1, 3)],
    "kind": [CategoricalDistribution(["none", None, True, 3]), CategoricalDistribution(["none", "other"])],
}
GIVEN = optuna.trial.create_trial(  # brings a distribution that is held to no other
    state=TrialState.WAITING, params={"rate": 0.5}, distributions={"rate": DISTRIBUTIONS["rate"][1]}
)
STATES = [TrialState.RUNNING, TrialState.WAITING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """A journal that two workers and somebody else wrote, who did also what is refused."""
    path, rng = tmp_path_factory.mktemp("journal") / "journal.log", random.Random(0)
    workers = [JournalStorage(Journal(path)) for _ in range(3)]
    studies = [workers[0].create_new_study([optuna.study.StudyDirection.MINIMIZE], name) for name in ("a", "b")]
    for i in range(600):
        worker, trial = rng.choice(workers), rng.randrange(i // 12 + 1)
        name, value = rng.choice(list(DISTRIBUTIONS)), rng.random()
        distribution = rng.choice(DISTRIBUTIONS[name])
        act = rng.choice(
            [
                lambda w=worker: w.create_new_trial(rng.choice(studies), rng.choice([None, None, None, GIVEN])),
                lambda w=worker, t=trial, n=name, d=distribution: w.set_trial_param(t, n, 1.0, d),
                lambda w=worker, t=trial, v=value: w.set_trial_intermediate_value(t, rng.randrange(9), v),
                lambda w=worker, t=trial, v=value: w.set_trial_user_attr(t, rng.choice("ab"), [v, {"c": v}]),
                lambda w=worker, t=trial, v=value: w.set_trial_system_attr(t, rng.choice("ab"), v),
                lambda w=worker, t=trial, v=value: w.set_trial_state_values(t, rng.choice(STATES), [v]),
                lambda w=worker: w.set_study_user_attr(rng.choice(studies), "n", rng.random()),
            ]
        )
        with suppress(Exception):
            act()
    return list(Journal(path).read_logs(0))


def trials(replay):
    return {number: repr(sorted(vars(trial).items())) for number, trial in replay._trials.items()}


@pytest.mark.parametrize("most", [1, 7, 10_000])
def test_trials_are_optunas_and_one_that_was_shown_stays_as_it_was(lines, most):
    ours, theirs, rng, start = Replay("nobody"), JournalStorageReplayResult("nobody"), random.Random(1), 0
    while start < len(lines):
        shown, before = dict(ours._trials), trials(ours)
        some = lines[start : start + rng.randint(1, most)]
        ours.apply_logs(some)
        ours.show()
        theirs.apply_logs(some)
        start += len(some)
        assert trials(ours) == trials(theirs)
        assert {number: repr(sorted(vars(trial).items())) for number, trial in shown.items()} == before
    assert len({trial.state for trial in ours._trials.values()}) == 5
    assert any(len(trial.params) == 3 for trial in ours._trials.values())
    assert vars(ours)["_studies"][0].user_attrs == theirs._studies[0].user_attrs


def test_what_a_call_of_ones_own_is_refused_for_is_said_to_who_made_it(tmp_path):
    storage = open_storage(None, tmp_path)
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "a")
    first, second = storage.create_new_trial(study), storage.create_new_trial(study)
    storage.set_trial_param(first, "rate", 0.5, DISTRIBUTIONS["rate"][0])
    with pytest.raises(ValueError, match="rate|distribution"):
        storage.set_trial_param(second, "rate", 0.5, DISTRIBUTIONS["depth"][0])
    assert storage.get_trial(second).params == {}
