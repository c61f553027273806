"""The simulation of a thousand clients, with a few: none is lost and none doubled where all begin anew in the middle."""

import optuna
import pytest

from benchmarks.thousand_clients import NAME, Clients, found, simulate
from mythos_lab.search.grpc_token import server_of
from mythos_lab.search.storage import open_storage


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
