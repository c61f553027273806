"""The simulation of a thousand clients, with a few: none is lost and none doubled where all begin anew in the middle."""

from collections import Counter

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from benchmarks.thousand_clients import NAME, SPACE, Clients, _study, found, simulate
from mythos_lab.search.grpc_token import server_of
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import settle, take


def test_trials_that_all_drop_at_once_are_settled_once_when_all_have_begun_anew(tmp_path):
    url, num_trials = f"sqlite:///{tmp_path}/study.db", 8
    optuna.create_study(study_name=NAME, storage=open_storage(url, tmp_path), direction="maximize")
    servers = [server_of(open_storage(url, tmp_path), "127.0.0.1:0", None)]
    port = servers[0].add_insecure_port("127.0.0.1:0")
    servers[0].start()

    def restart():
        servers[0].stop(None).wait()
        servers.append(server_of(open_storage(url, tmp_path), f"127.0.0.1:{port}", None))
        servers[1].start()

    study = simulate(Clients(f"grpc://127.0.0.1:{port}", 4, num_trials, 0.05, 0.2), restart)
    assert found(study, num_trials)["settled"] == num_trials and len(servers) == 2
    study.add_trial(study.trials[0])
    assert found(study, num_trials)["settled"] == num_trials, "one that somebody else has added is none of them"
    with pytest.raises(AssertionError, match="8 of 9 places"):
        found(study, num_trials + 1)
    servers[1].stop(None)


PER_TRIAL = {
    "GetTrials": 1,  # the look at the study
    "CreateNewTrial": 1,
    "GetTrial": 2,  # by Optuna, when a trial is begun and when it is told
    "SetTrialUserAttribute": 2,  # whose it is, and its outcome
    "SetTrialParameter": len(SPACE),
    "SetTrialStateValues": 1,
}
NUM_STATEMENTS = 52  # of them all, eleven by which they are committed among them


@pytest.mark.parametrize("num_running, num_finished", [(1, 0), (20, 30)])
def test_what_a_trial_asks_for_does_not_grow(num_running, num_finished, tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/study.db", tmp_path)
    optuna.create_study(study_name=NAME, storage=storage, direction="maximize")
    server = server_of(storage, "127.0.0.1:0", None)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    study, watch = _study(f"grpc://127.0.0.1:{port}"), Watch(1000.0)
    for i in range(num_finished + num_running):
        trial = take(study, 1000)
        if i < num_finished:
            settle(study, trial, TrialState.COMPLETE, "complete", values=[0.5])
    clients = Clients("", 1, 1000, 0.0, 1000.0)
    assert clients.run_one(study, watch, study.get_trials(deepcopy=False)), "the first draws, which a storage remembers"
    calls, statements, engine = counted(study._storage.inner._stub), Counter(), storage.inner._backend.engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *of: statements.update([of[2]]))
    sqlalchemy.event.listen(engine, "commit", lambda *_: statements.update(["COMMIT"]))
    for _ in range(2):
        assert clients.run_one(study, watch, study.get_trials(deepcopy=False))
    server.stop(None)
    assert calls == {name: 2 * num for name, num in PER_TRIAL.items()}
    assert statements.total() == 2 * NUM_STATEMENTS, statements


def counted(stub):
    """How often each method of a proxy is called from now on."""
    calls = Counter()

    def counting(name, call):
        def wrapped(*args):
            calls[name] += 1
            return call(*args)

        return wrapped

    for name, call in list(vars(stub).items()):
        setattr(stub, name, counting(name, call))
    return calls
