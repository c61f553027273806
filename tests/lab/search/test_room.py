"""No trial is made beyond those that are wanted, however many workers ask at the same moment, in every storage."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import optuna
import pytest

from mythos_lab.search.grpc_token import server_of
from mythos_lab.search.room import BELOW, Full, template
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import hand_back, take
from tests.lab.search.postgres import cluster
from tests.lab.search.test_trial_queue import meanwhile


@contextmanager
def url_of(kind, tmp_path):
    if kind == "postgresql":
        with cluster() as server:
            yield server.url
        return
    database = f"sqlite:///{tmp_path}/study.db"
    if kind != "proxy":
        yield {"journal": f"journal://{tmp_path}/journal.log", "sqlite": database}[kind]
        return
    server = server_of(open_storage(database, tmp_path), "127.0.0.1:0", None)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(params=["journal", "sqlite", "proxy", "postgresql"])
def join(request, tmp_path):
    """Opens the study as another worker does."""
    with url_of(request.param, tmp_path) as url:

        def opened():
            sampler = optuna.samplers.RandomSampler(seed=0)
            storage = open_storage(url, tmp_path)
            return optuna.create_study(study_name="study", storage=storage, sampler=sampler, load_if_exists=True)

        yield opened


def test_twelve_that_ask_at_once_for_four_make_four_and_go_on_with_what_was_left(join, monkeypatch):
    study, workers, begin = join(), [join() for _ in range(12)], threading.Barrier(12)

    def ask(worker):
        begin.wait()
        return take(worker, 4)

    with ThreadPoolExecutor(12) as pool:
        taken = [trial for trial in pool.map(ask, workers) if trial is not None]
        assert sorted(trial.number for trial in taken) == [0, 1, 2, 3] and len(study.get_trials()) == 4
        for trial in taken[:2]:
            trial.suggest_float("x", 0, 1)
            hand_back(study, trial, "gone", lost=False)
        begin.reset()
        again = [trial for trial in pool.map(ask, workers) if trial is not None]
    assert {trial.user_attrs["retry_of"] for trial in again} == {trial.number for trial in taken[:2]}
    assert len(study.get_trials()) == 6, "two retries, and nothing besides"


def test_who_comes_too_late_for_the_last_place_makes_nothing(join, monkeypatch):
    study, other = join(), join()
    meanwhile(monkeypatch, study._storage, "create_new_trial", lambda: take(other, 1))
    assert take(study, 1) is None
    (made,) = study.get_trials()
    assert made.user_attrs["taken"] == 0 and BELOW not in made.system_attrs and other.get_trials() == [made]
    with pytest.raises(Full):
        study._storage.create_new_trial(study._study_id, template(1, {}))
    assert study._storage.create_new_trial(study._study_id, template(2, {})) and len(study.get_trials()) == 2
