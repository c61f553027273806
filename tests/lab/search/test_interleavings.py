"""Workers that die, and that act, between any two writes of another: as many trials settle as are wanted, each once."""

import contextlib
import random

import optuna
import pytest
from optuna.trial import TrialState

from mythos_lab.search import trial_queue
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.room import Full, parted
from mythos_lab.search.samplers.queue_only import QueueOnly
from mythos_lab.search.trial_queue import clear_doubles, hand_back, settle, take
from mythos_lab.search.trial_states import is_settled, is_surplus
from mythos_lab.search.wanted import due

NUM_TRIALS, NUM_WORKERS = 6, 4
WRITES = ("create_new_trial", "set_trial_user_attr", "set_trial_param", "set_trial_state_values")
EVENTS = ("finish", "die", "die early", "hand back", "linger", "reap")


class Died(Exception):
    """A process came to its end."""


class House:
    """Workers of one study, any of which may act, or die, before any write of another.

    Args:
        study: The study.
        plan: What happens before the writes, in order: nothing; the death of who writes; or acts of others, during
            which it sleeps, so that it gives no signs of life, or does not.
        wanted: Trials in all.
        bounded: Whether the storage makes a trial only where it has room.
    """

    def __init__(self, study, plan, wanted, bounded):
        self.study, self.plan, self.wanted = study, list(plan), wanted
        self.acting, self.asleep, self.hands = [], set(), {}
        self.lives = dict.fromkeys(range(NUM_WORKERS), 0)
        self.watch = Watch(heartbeat=-1.0)
        if bounded:
            study._storage.create_new_trial = self._bounded(study._storage.create_new_trial)
        for name in WRITES:
            setattr(study._storage, name, self._disturbed(getattr(study._storage, name)))

    def _bounded(self, create):
        def call(study_id, template_trial=None):
            plain, below = parted(template_trial)
            if below is not None and len(self.study.get_trials(deepcopy=False)) >= below:
                raise Full
            return create(study_id, plain)

        return call

    def _disturbed(self, write):
        def call(*args, **kwargs):
            if self.acting and self.plan and (event := self.plan.pop(0)) is not None:
                if event == "death":
                    raise Died
                worker, (sleeps, others) = self.acting[-1], event
                self.asleep |= {worker} if sleeps else set()
                for other in others:
                    self.act(*other)
                self.asleep -= {worker}
            return write(*args, **kwargs)

        return call

    def identity(self):
        worker = self.acting[-1]
        return f"here:{worker}:{self.lives[worker]}"

    def is_gone(self, trial):
        _, worker, life = trial.user_attrs.get("worker", "here:0:-1").split(":")
        return self.lives[int(worker)] != int(life) or int(worker) in self.asleep

    def act(self, worker, event):
        if worker in self.acting:
            return
        self.acting.append(worker)
        try:
            self._act(worker, event)
        except Died:
            self._die(worker)
        finally:
            self.acting.pop()

    def _die(self, worker):
        self.lives[worker] += 1
        self.hands.pop(worker, None)

    def _act(self, worker, event):
        if event == "reap":
            self.watch.reap(self.study)
            return
        trial = self.hands.pop(worker, None) or take(self.study, self.wanted)
        if trial is None:
            return
        if event != "die early":
            # Another may have given the trial up, if this worker was asleep; then it is not its own any more.
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                trial.suggest_int("x", 0, 5)
        if event == "linger":
            self.hands[worker] = trial
        elif event == "finish":
            settle(self.study, trial, TrialState.COMPLETE, "complete", values=[0.0])
        elif event == "hand back":
            hand_back(self.study, trial, "")
        else:
            self._die(worker)


def drawn_act(rng):
    return rng.randrange(NUM_WORKERS), rng.choice(EVENTS)


def drawn_break(rng):
    roll = rng.random()
    if roll < 0.7:
        return None
    return "death" if roll < 0.75 else (rng.random() < 0.5, [drawn_act(rng) for _ in range(rng.randint(1, 4))])


@pytest.mark.parametrize("grid", [True, False], ids=["grid", "sampled"])
@pytest.mark.parametrize("block", range(8))
def test_none_is_lost_and_none_counts_twice(grid, block):
    for seed in range(block * 200, (block + 1) * 200):
        rng = random.Random(seed)
        events = [drawn_act(rng) for _ in range(rng.randint(5, 60))]
        plan = [drawn_break(rng) for _ in range(rng.randint(0, 300))]
        check(grid, events, plan, rng.choice([4, NUM_TRIALS]), doubled=rng.random() < 0.5, bounded=seed % 4 > 0)


def check(grid, events, plan, wanted, doubled, bounded):
    """So many trials are wanted at first, and all of them when the trouble is over."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=QueueOnly() if grid else optuna.samplers.RandomSampler(seed=0))
    for point in [*range(NUM_TRIALS), *range(NUM_TRIALS * doubled)] if grid else []:
        study.enqueue_trial({"x": point}, user_attrs={"point": point})
    house = House(study, plan, wanted, bounded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_queue, "identity", house.identity)
        patch.setattr(Watch, "_is_gone", lambda self, trial: house.is_gone(trial))
        for worker, event in events:
            house.act(worker, event)
        house.plan.clear()
        assert sum(map(is_settled, study.get_trials())) <= wanted
        house.wanted = NUM_TRIALS
        for _ in range(NUM_TRIALS * 10):
            house.act(0, "reap")
            for worker in range(NUM_WORKERS):
                house.act(worker, "finish")
        clear_doubles(study)
    trials = study.get_trials()
    done = [trial for trial in trials if is_settled(trial)]
    if bounded:
        assert all("retry_of" in t.user_attrs or "point" in t.user_attrs for t in trials if is_surplus(t))
    assert len(done) == NUM_TRIALS
    assert not due(study) and all(trial.state.is_finished() for trial in trials)
    retries = [trial.user_attrs["retry_of"] for trial in done if "retry_of" in trial.user_attrs]
    assert len(retries) == len(set(retries))
    if grid:
        points = [point_of(trial, trials) for trial in done]
        assert sorted(points) == list(range(NUM_TRIALS))


def point_of(trial, trials):
    """The point that the first of a chain of retries was queued for."""
    while "retry_of" in trial.user_attrs:
        trial = trials[trial.user_attrs["retry_of"]]
    return trial.user_attrs["point"]
