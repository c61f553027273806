"""Looks through the proxy: what Optuna's own answer, and one look at the database for all who ask at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.storages import GrpcStorageProxy, RDBStorage
from optuna.storages._grpc import servicer
from optuna.storages._grpc.server import make_server
from optuna.trial import TrialState

from mythos_lab.search import grpc_looks
from mythos_lab.search.grpc_looks import Shared
from mythos_lab.search.grpc_token import TokenProxy, server_of
from tests.lab.search.test_database import facts, fill


@pytest.fixture
def pair(tmp_path):
    """A storage, and those that ask its servers: ours and Optuna's."""
    storage = RDBStorage(f"sqlite:///{tmp_path}/study.db")
    ours, other = server_of(storage, "127.0.0.1:0", None), make_server(storage, "127.0.0.1", 0)
    port, theirs = (each.add_insecure_port("127.0.0.1:0") for each in (ours, other))
    ours.start()
    other.start()
    asking = TokenProxy("127.0.0.1", port, None), GrpcStorageProxy(host="127.0.0.1", port=theirs)
    yield storage, *asking
    for each in asking:
        each.close()
    ours.stop(None)
    other.stop(None)


def test_what_is_seen_is_what_optunas_own_proxy_shows(pair):
    storage, ours, theirs = pair
    study = optuna.create_study(study_name="study", storage=storage, directions=["minimize", "maximize"])
    running, number = fill(study), study._study_id

    def agree():
        seen, expected = (list(map(facts, each.get_all_trials(number))) for each in (ours, theirs))
        assert seen == expected
        return {trial.number: trial for trial in ours.get_all_trials(number, deepcopy=False)}

    first = agree()
    assert agree()[running.number] is first[running.number], "it is the same, and was not made again"
    running.set_user_attr("worker", "elsewhere")
    second = agree()
    assert second[running.number].user_attrs["worker"] == "elsewhere"
    study.tell(running.number, state=TrialState.FAIL)
    study.enqueue_trial({"rate": 0.25})
    third = agree()
    assert third[running.number].state is TrialState.FAIL and len(third) == len(first) + 1
    with pytest.raises(KeyError):
        ours.get_all_trials(number + 1)


class Counted:
    """A lock that says whenever it was had."""

    def __init__(self):
        self.lock, self.had = threading.Lock(), threading.Semaphore(0)

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()
        self.had.release()


def test_who_asks_during_a_look_gets_the_next_one_and_shares_it():
    begun, go_on, looks = threading.Semaphore(0), threading.Semaphore(0), []

    def look():
        looks.append(len(looks))
        begun.release()
        go_on.acquire()
        return looks[-1]

    shared = Shared(look)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(shared)
        begun.acquire()
        shared._asking = Counted()
        later = [pool.submit(shared) for _ in range(5)]
        for _ in later:  # all have asked, and the first look has not ended
            shared._asking.had.acquire()
        go_on.release(2)
        assert first.result() == 0 and [each.result() for each in later] == [1] * 5
    assert len(looks) == 2


def test_calls_take_no_more_than_their_portion_of_the_time(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(grpc_looks.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(grpc_looks.time, "sleep", lambda seconds: clock.append(clock.pop() + seconds))

    def look():
        clock[0] += 2.0

    shared = Shared(look, portion=0.25)
    for _ in range(3):
        shared()
    assert clock[0] == 2 + 6 + 2 + 6 + 2
    clock[0] += 100.0
    shared()
    assert clock[0] == 120.0, "who has not asked for long waits for nothing"


def test_a_message_becomes_the_trial_that_optuna_makes_of_it(tmp_path):
    study = optuna.create_study(storage=RDBStorage(f"sqlite:///{tmp_path}/s.db"), directions=["minimize", "maximize"])
    fill(study)
    for message in map(servicer._to_proto_trial, study.get_trials()):
        assert facts(grpc_looks.from_message(message)) == facts(servicer._from_proto_trial(message))


def test_a_look_that_fails_fails_for_all_who_share_it_and_for_nobody_after():
    answers = iter([KeyError("gone"), "there"])

    def look():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared = Shared(look)
    with pytest.raises(KeyError):
        shared()
    assert shared() == "there"
