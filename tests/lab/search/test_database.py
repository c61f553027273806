"""Trials read by rows are those that Optuna reads as objects; and a server sees whose its connections are."""

import math
from datetime import datetime
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from mythos_lab.search import database
from mythos_lab.search.database import Database
from mythos_lab.search.storage import open_storage
from tests.lab.search.postgres import cluster

SPACE = {
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "depth": IntDistribution(1, 9, step=2),
    "kind": CategoricalDistribution(["none", None, True, 3, 0.5]),
}


def fill(study):
    """One trial of each kind that there can be, and some more."""
    for i in range(7):
        params = {"rate": 0.1 + i / 100, "depth": 1 + 2 * (i % 4), "kind": ("none", None, True, 3, 0.5)[i % 5]}
        attrs = {"outcome": "complete", "values": [0.5, None], "nested": {"a": {"b": i}}, "text": "ü'\"\\", "n": i}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=[float(i), (math.inf, -math.inf, 0.5)[i % 3]],
                params=params,
                distributions=SPACE,
                user_attrs=attrs,
                system_attrs={"fixed_params": {"rate": 0.1}},
                intermediate_values={1: math.nan, 2: math.inf, 30: -math.inf, 4: 0.25},
            )
        )
    study.enqueue_trial({"rate": 0.5})
    running, failed, pruned = study.ask(), study.ask(), study.ask()
    failed.suggest_float("rate", 1e-4, 1.0, log=True)
    study.tell(failed, state=TrialState.FAIL)
    study.tell(pruned, state=TrialState.PRUNED)
    running.set_user_attr("worker", "here")
    return running


def facts(trial):
    """All of a trial; what is no number equals itself, and a choice is told from another of its value."""
    return repr(sorted(vars(trial).items()))


@pytest.mark.parametrize("most_named", [500, 1])
def test_trials_are_those_that_optuna_reads(most_named, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_MOST_NAMED", most_named)
    url = f"sqlite:///{tmp_path}/study.db"
    ours, theirs = Database(url), RDBStorage(url)
    for name in ("another", "study"):
        study = optuna.create_study(study_name=name, storage=theirs, directions=["minimize", "maximize"])
        running = fill(study)
    number = study._study_id
    for arguments in [
        (None, set(), -1),
        (None, {running._trial_id, running._trial_id - 3}, running._trial_id),
        (None, set(), running._trial_id + 100),
        ((TrialState.COMPLETE, TrialState.WAITING), set(), -1),
    ]:
        found, expected = (storage._get_trials(number, *arguments) for storage in (ours, theirs))
        assert list(map(facts, found)) == list(map(facts, expected))
    assert facts(ours.get_trial(running._trial_id)) == facts(theirs.get_trial(running._trial_id))
    (ours.get_all_trials(number)[0].user_attrs["nested"]).clear()
    assert ours.get_all_trials(number)[0].user_attrs["nested"] == {"a": {"b": 0}}
    with pytest.raises(KeyError):
        ours._get_trials(number + 1, None, set(), -1)


def test_a_worker_holds_one_connection_of_its_studys_name_and_reads_what_optuna_reads():
    with cluster() as server:
        study = optuna.create_study(
            study_name="named", storage=open_storage(server.url, Path("named")), directions=["minimize"] * 2
        )
        fill(study)
        found = study.get_trials()
        theirs = RDBStorage(server.url, engine_kwargs={"connect_args": {"application_name": "another"}})
        assert list(map(facts, found)) == list(map(facts, theirs.get_all_trials(study._study_id)))
        assert isinstance(found[0].datetime_start, datetime)
        with theirs.engine.connect() as asking:
            told = sqlalchemy.text("SELECT application_name FROM pg_stat_activity WHERE client_port IS NOT NULL")
            names = [name for name in asking.scalars(told) if name != "another"]
    assert len(names) == 1 and names[0].startswith("mythos named ")


def test_a_storage_that_has_read_nothing_takes_a_value_of_a_trial_that_another_began(tmp_path):
    first, second = (open_storage(f"sqlite:///{tmp_path}/study.db", tmp_path) for _ in range(2))
    trial = optuna.create_study(storage=first).ask()
    second.set_trial_param(trial._trial_id, "rate", 0.5, SPACE["rate"])
    assert first.get_trial(trial._trial_id).params == {"rate": 0.5}
    with pytest.raises(KeyError):
        second.set_trial_param(trial._trial_id + 1, "rate", 0.5, SPACE["rate"])


@pytest.mark.parametrize("ids, num", [([1, 2, 3, 4], 1), ([1, 50, 51, 52], 2)])
def test_trials_that_lie_far_apart_are_named_and_others_are_a_range(ids, num, monkeypatch, tmp_path):
    monkeypatch.setattr(database, "_MOST_NAMED", 3)
    storage = Database(f"sqlite:///{tmp_path}/study.db")
    with database._create_scoped_session(storage.scoped_session) as session:
        parts = database._Parts(session, 1, ids)
        assert len(list(parts._which(database.models.TrialParamModel))) == num
