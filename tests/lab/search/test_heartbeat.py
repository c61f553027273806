"""Signs of life, and what becomes of trials whose workers give none."""

import time

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from mythos_lab.search.engines.remote import Channel
from mythos_lab.search.heartbeat import Heartbeat, Watch
from mythos_lab.search.trial_queue import settle, take
from mythos_lab.search.wanted import due
from mythos_lab.tracking.process import identity, is_alive

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


def test_of_many_that_are_gone_a_worker_hands_back_as_many_as_it_can_run(study, monkeypatch):
    now, watches = 0.0, [Watch(heartbeat=10.0) for _ in range(3)]
    monkeypatch.setattr("mythos_lab.search.heartbeat.time.monotonic", lambda: now)
    for _ in range(4):
        trial = take(study, 4)
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("worker", ELSEWHERE)
    for now, num in ((0, 0), (51, 1)):
        assert [watch.reap(study, most=1) for watch in watches] == [num] * 3, now
    assert watches[0].reap(study) == 1
    killed = [t.number for t in study.get_trials() if t.user_attrs.get("outcome") == "killed"]
    assert killed == [0, 1, 2, 3] and len(study.get_trials()) == 8, "each was queued again, and once"


def test_a_heartbeat_beats_until_the_block_ends_or_the_trial_is_taken_over(study):
    trial = take(study, 1)
    with Heartbeat(study, trial, seconds=0.01) as heartbeat:
        while "beat" not in study.get_trials()[0].user_attrs:
            heartbeat.over.wait(0.01)
        settle(study, trial, TrialState.FAIL, "killed")
        heartbeat.thread.join()  # ends by itself


def test_a_heartbeat_says_that_the_trial_is_run_elsewhere(study):
    trial = take(study, 1)
    with Heartbeat(study, trial, seconds=0.01) as heartbeat:
        assert not heartbeat.is_lost
        settle(study, trial, TrialState.FAIL, "killed")
        heartbeat.thread.join()
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


class Away:
    """A storage that raises so many times, and then works."""

    def __init__(self, real, num_times):
        self.real, self.left = real, num_times

    def __getattr__(self, name):
        def call(*arguments):
            if self.left:
                self.left -= 1
                raise OSError(5, "Input/output error")
            return getattr(self.real, name)(*arguments)

        return call


@pytest.mark.parametrize("what", ["a sign of life", "orders"])
def test_what_goes_wrong_beside_a_trial_is_said_and_tried_again(study, what, capsys):
    trial = take(study, 1)
    if what == "orders":
        channel = Channel(study, "orders", 0.01)
        study.set_user_attr("orders", "stop")
        ended, beside = lambda: channel.stop, channel
        channel.read = lambda real=channel.read: real() if channel._listening.thread.is_alive() else None
    else:
        ended, beside = lambda: "beat" in study.get_trials()[0].user_attrs, Heartbeat(study, trial, seconds=0.01)
        beside._storage = Away(study._storage, 3)
    if what == "orders":
        study._storage = Away(study._storage, 3)
    with beside:
        for _ in range(500):
            if getattr(beside, "_storage", study._storage).left == 0 and ended():
                break
            time.sleep(0.01)
    assert ended()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and "OSError: [Errno 5]" in said[0] and "works again, after 3 failures" in said[2]


def test_a_live_worker_is_alive_whatever_the_clock_says(study, monkeypatch):
    trial = take(study, 1)
    created, clock = psutil.Process.create_time, time.time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self, *a, **k: created(self, *a, **k) + 3600)
    monkeypatch.setattr(time, "time", lambda: clock() + 3600)
    assert is_alive(identity()) and is_alive(trial.user_attrs["worker"])
    watch = Watch(heartbeat=0.0)
    assert watch.reap(study) == watch.reap(study) == 0


def test_who_is_looked_for_and_who_cannot_be():
    mine = identity()
    there, pid, start = mine.rsplit(":", 2)
    assert is_alive(f"{there}:{pid}:{int(start) + 1}") is False, "another process of the same number"
    assert is_alive(f"{there}:999999999:1") is False
    assert is_alive(f"{there.split('/')[0]}/another-boot:{pid}:{start}") is None
    assert is_alive(ELSEWHERE) is None
