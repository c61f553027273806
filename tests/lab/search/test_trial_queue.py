"""Trials and their workers: none is lost, none counts twice, whoever dies and whenever."""

import optuna
import pytest
from optuna.trial import TrialState

from mythos_lab.search import trial_queue
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.samplers.queue_only import QueueOnly
from mythos_lab.search.trial_queue import MAX_ATTEMPTS, clear_doubles, hand_back, settle, take
from mythos_lab.search.trial_states import is_settled
from mythos_lab.search.wanted import due

HERE = trial_queue.identity()


@pytest.fixture
def study():
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def finish(study, trial):
    trial.suggest_float("x", 0, 1)
    assert settle(study, trial, TrialState.COMPLETE, "complete", values=[1.0])


def meanwhile(monkeypatch, owner, name, act):
    """Have another worker act before the next call of a method."""
    call = getattr(owner, name)

    def call_after_the_other(*args, **kwargs):
        monkeypatch.setattr(owner, name, call)
        act()
        return call(*args, **kwargs)

    monkeypatch.setattr(owner, name, call_after_the_other)


def settled(study):
    return [t for t in study.get_trials() if is_settled(t)]


def test_no_more_are_taken_than_are_wanted(study):
    trials = [take(study, 3) for _ in range(4)]
    assert [t is None for t in trials] == [False, False, False, True]
    for trial in trials[:3]:
        finish(study, trial)
    assert take(study, 3) is None and len(settled(study)) == 3


def test_the_later_of_two_who_take_the_last_one_at_once_is_surplus(study, monkeypatch):
    meanwhile(monkeypatch, study._storage, "create_new_trial", lambda: finish(study, take(study, 1)))
    assert take(study, 1) is None
    assert [t.user_attrs["outcome"] for t in study.get_trials()] == ["complete", "surplus"] and len(settled(study)) == 1


def test_a_trial_handed_back_goes_on_with_its_parameters_and_in_its_folder(study):
    trial = take(study, 1)
    trial.set_user_attr("folder", "trials/0000")
    x = trial.suggest_float("x", 0, 1)
    hand_back(study, trial, "stopped")
    again = take(study, 1)
    assert again.suggest_float("x", 0, 1) == x and again.user_attrs["folder"] == "trials/0000"
    assert again.user_attrs["retry_of"] == trial.number and again.user_attrs["attempt"] == 1
    assert not settled(study)


def test_a_trial_that_its_workers_do_not_survive_is_failed_in_the_end(study):
    for _ in range(MAX_ATTEMPTS):
        trial = take(study, 1)
        trial.suggest_float("x", 0, 1)
        hand_back(study, trial, "out of memory")
    assert take(study, 1) is None
    (last,) = settled(study)
    assert last.user_attrs["outcome"] == "failed" and "out of memory" in last.user_attrs["reason"]


def test_two_that_reap_the_same_orphan_queue_it_once(study):
    trial = take(study, 1)
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("worker", f"{HERE.rsplit(':', 2)[0]}:1:0.00")  # a process that is not this one's start
    stale = study.get_trials()[0]
    assert Watch(1.0).reap(study) == 1
    hand_back(study, stale, "seen by another machine before")
    finish(study, take(study, 1))
    assert take(study, 1) is None and len(settled(study)) == 1


def test_a_retry_that_was_queued_twice_is_run_once(study):
    trial = take(study, 2)
    trial.suggest_float("x", 0, 1)
    hand_back(study, trial, "")
    study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number, "attempt": 1})
    first = take(study, 2)
    finish(study, first)
    second = take(study, 2)
    assert first.user_attrs["retry_of"] == trial.number and "retry_of" not in second.user_attrs


def test_a_queue_is_cleared_of_doubles_and_of_nothing_else(study):
    for point in (0, 1, 2, 1, 0):
        study.enqueue_trial({"x": point / 2}, user_attrs={"point": point})
    study.enqueue_trial({"x": 0.3})  # somebody's own wish, twice: no errand says that it is the same
    study.enqueue_trial({"x": 0.3})
    finish(study, take(study, 9))
    clear_doubles(study)
    left = [t.state.name for t in study.get_trials()]
    assert left == ["COMPLETE", "WAITING", "WAITING", "FAIL", "FAIL", "WAITING", "WAITING"]
    assert len(settled(study)) == 1


def test_a_double_that_another_machine_takes_meanwhile_is_left_to_it(study, monkeypatch):
    for _ in range(3):
        study.enqueue_trial({"x": 0.5}, user_attrs={"point": 0})
    seen = study.get_trials()
    _, taken, ended = (study.ask() for _ in range(3))
    study.tell(ended, state=TrialState.FAIL)
    monkeypatch.setattr(study, "get_trials", lambda **_: seen)
    clear_doubles(study)
    monkeypatch.undo()
    assert [t.state.name for t in study.get_trials()] == ["RUNNING", "RUNNING", "FAIL"]
    assert "outcome" not in study.get_trials()[taken.number].user_attrs


def test_what_another_worker_has_ended_is_not_ended_twice(study):
    trial = take(study, 1)
    finish(study, trial)
    assert settle(study, trial, TrialState.FAIL, "failed") is False
    assert study.get_trials()[0].state is TrialState.COMPLETE
    with pytest.raises(ValueError):
        settle(study, take(study, 2), TrialState.COMPLETE, "complete", values=[float("nan")])


def test_points_taken_at_once_by_two_that_one_is_wanted_of_are_not_lost(study, monkeypatch):
    study.sampler = QueueOnly()
    for point in range(3):
        study.enqueue_trial({"x": point / 2}, user_attrs={"point": point})
    others = []
    meanwhile(monkeypatch, study._storage, "set_trial_state_values", lambda: others.append(take(study, 1)))
    assert take(study, 1) is None and others[0].user_attrs["point"] == 0
    finish(study, others[0])
    assert sorted(take_all(study, 3)) == [0.5, 1.0]  # more are wanted after all
    assert len(settled(study)) == 3


def take_all(study, num_trials):
    found = []
    while trial := take(study, num_trials):
        found.append(trial.suggest_float("x", 0, 1))
        settle(study, trial, TrialState.COMPLETE, "complete", values=[1.0])
    return found


def test_a_double_whose_worker_dies_stays_one(study):
    for _ in range(2):
        study.enqueue_trial({"x": 0.5}, user_attrs={"point": 0})
    finish(study, take(study, 2))
    double = study.ask()  # and its worker dies before it has looked
    hand_back(study, double, "gone")
    assert [t.user_attrs["outcome"] for t in study.get_trials()] == ["complete", "surplus"]


def test_a_trial_handed_back_keeps_what_pruners_go_by(study):
    trial = take(study, 1)
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 10)
    trial.set_user_attr("reports", {"10": 0.5})
    trial.storage.set_trial_system_attr(trial._trial_id, "completed_rung_0", 0.5)
    hand_back(study, trial, "stopped", lost=False)
    again = study.get_trials()[take(study, 1).number]
    assert again.intermediate_values == {10: 0.5} and again.user_attrs["reports"] == {"10": 0.5}
    assert again.system_attrs["completed_rung_0"] == 0.5 and "outcome" not in again.user_attrs


@pytest.mark.parametrize("worker_first", [True, False])
def test_a_trial_that_is_given_up_while_it_ends_counts_once(study, monkeypatch, worker_first):
    """Both write an outcome, and then one alone sets the state."""
    trial = take(study, 1)
    trial.suggest_float("x", 0, 1)
    ends = [lambda: finish_or_not(study, trial), lambda: hand_back(study, trial, "gone")]
    first, second = ends if worker_first else reversed(ends)
    meanwhile(monkeypatch, trial_queue, "_tell", second)
    first()
    while trial := take(study, 1):
        finish(study, trial)
    assert len(settled(study)) == 1 and settled(study)[0].state is TrialState.COMPLETE
    assert not due(study)


def finish_or_not(study, trial):
    settle(study, trial, TrialState.COMPLETE, "complete", values=[1.0])
