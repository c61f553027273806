"""Trials and their workers: none is lost, none counts twice, whoever dies and whenever."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from mythos_lab.search import ledger
from mythos_lab.search.ledger import MAX_ATTEMPTS, Heartbeat, Watch, clear_doubles, hand_back, is_settled, settle, take

HERE, ELSEWHERE = ledger.identity(), "another-machine:17:1.00"


@pytest.fixture
def study():
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def finish(study, trial):
    trial.suggest_float("x", 0, 1)
    assert settle(study, trial, TrialState.COMPLETE, "complete", values=[1.0])


def settled(study):
    return [t for t in study.get_trials() if is_settled(t)]


def test_no_more_are_taken_than_are_wanted(study):
    trials = [take(study, 3) for _ in range(4)]
    assert [t is None for t in trials] == [False, False, False, True]
    for trial in trials[:3]:
        finish(study, trial)
    assert take(study, 3) is None and len(settled(study)) == 3


def test_the_later_of_two_who_take_the_last_one_at_once_is_surplus(study, monkeypatch):
    ask = study.ask

    def ask_while_another_does(*args):
        monkeypatch.setattr(study, "ask", ask)
        other = take(study, 1)
        finish(study, other)
        return ask(*args)

    monkeypatch.setattr(study, "ask", ask_while_another_does)
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


def test_a_trial_of_which_nothing_is_known_is_not_queued_again(study):
    study.ask()  # an answer that was lost on its way: nobody knows that it runs
    watch = Watch(heartbeat=-1.0)
    assert watch.reap(study) == 0 and watch.reap(study) == 1
    assert [t.state for t in study.get_trials()] == [TrialState.FAIL]


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


def test_a_worker_elsewhere_is_gone_when_its_signs_of_life_stop(study, monkeypatch):
    trial = take(study, 1)
    trial.set_user_attr("worker", ELSEWHERE)
    now = 0.0
    monkeypatch.setattr(ledger.time, "monotonic", lambda: now)
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


def test_what_another_worker_has_ended_is_not_ended_twice(study):
    trial = take(study, 1)
    finish(study, trial)
    assert settle(study, trial, TrialState.FAIL, "failed") is False
    assert study.get_trials()[0].state is TrialState.COMPLETE
    with pytest.raises(ValueError):
        settle(study, take(study, 2), TrialState.COMPLETE, "complete", values=[float("nan")])


events = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["finish", "die", "die early", "hand back", "linger"])), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(events=events)
def test_whatever_happens_as_many_settle_as_are_wanted_and_each_point_once(events):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    for point in range(6):
        study.enqueue_trial({"x": point}, user_attrs={"point": point})
    hands, watch = {}, Watch(heartbeat=-1.0)

    def act(worker, event):
        trial = hands.pop(worker, None) or take(study, 6)
        if trial is None:
            return
        if event == "linger":
            hands[worker] = trial
            return
        if event != "die early":
            trial.suggest_int("x", 0, 5)
        if event == "finish":
            settle(study, trial, TrialState.COMPLETE, "complete", values=[0.0])
        elif event == "hand back":
            hand_back(study, trial, "")
        else:
            trial.set_user_attr("worker", f"{HERE.rsplit(':', 2)[0]}:1:0.00")
            watch.reap(study)

    for worker, event in events:
        act(worker, event)
    for worker in [*hands, *range(40)]:
        act(worker, "finish")
    done = settled(study)
    assert len(done) == 6
    failed = [t for t in done if t.user_attrs["outcome"] == "failed"]
    points = sorted(t.params["x"] for t in done if t.state is TrialState.COMPLETE)
    assert len(points) == len(set(points)) and len(points) + len(failed) == 6
