"""Signs of life, and what becomes of trials whose workers give none."""

import optuna
import pytest
from optuna.trial import TrialState

from mythos_lab.search.heartbeat import Heartbeat, Watch
from mythos_lab.search.trial_queue import due, settle, take

ELSEWHERE = "another-machine:17:1.00"


@pytest.fixture
def study():
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def test_a_trial_of_which_nothing_is_known_is_not_queued_again(study):
    study.ask()  # an answer that was lost on its way: nobody knows that it runs
    watch = Watch(heartbeat=-1.0)
    assert watch.reap(study) == 0 and watch.reap(study) == 1
    assert [t.state for t in study.get_trials()] == [TrialState.FAIL]


def test_a_worker_elsewhere_is_gone_when_its_signs_of_life_stop(study, monkeypatch):
    trial = take(study, 1)
    trial.set_user_attr("worker", ELSEWHERE)
    now = 0.0
    monkeypatch.setattr("mythos_lab.search.heartbeat.time.monotonic", lambda: now)
    watch = Watch(heartbeat=10.0)
    for now, beat, gone in ((0, 1, 0), (40, 1, 0), (49, 2, 0), (98, 2, 0), (99.5, 2, 1)):
        trial.set_user_attr("beat", beat) if not gone else None
        assert watch.reap(study) == gone, now


def test_a_heartbeat_beats_until_the_block_ends_or_the_trial_is_taken_over(study):
    trial = take(study, 1)
    with Heartbeat(study, trial, seconds=0.01) as heartbeat:
        while "beat" not in study.get_trials()[0].user_attrs:
            heartbeat._over.wait(0.01)
        settle(study, trial, TrialState.FAIL, "killed")
        heartbeat._thread.join()  # ends by itself


def test_a_heartbeat_says_that_the_trial_is_run_elsewhere(study):
    trial = take(study, 1)
    with Heartbeat(study, trial, seconds=0.01) as heartbeat:
        assert not heartbeat.is_lost
        settle(study, trial, TrialState.FAIL, "killed")
        heartbeat._thread.join()
        assert heartbeat.is_lost


def test_what_was_failed_and_never_queued_again_is_queued_when_a_sign_of_life_is_overdue(study, monkeypatch):
    trial = take(study, 1)
    x = trial.suggest_float("x", 0, 1)
    settle(study, trial, TrialState.FAIL, "killed", "gone")  # and whoever did so dies
    assert [t.number for t in due(study)] == [0] and take(study, 1) is None, "its place is kept"
    now = 0.0
    monkeypatch.setattr("mythos_lab.search.heartbeat.time.monotonic", lambda: now)
    watch = Watch(heartbeat=10.0)
    for now, queued in ((0, 0), (9, 0), (11, 1), (22, 0)):
        assert watch.reap(study) == queued, now
    assert take(study, 1).suggest_float("x", 0, 1) == x and take(study, 1) is None
