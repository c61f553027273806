"""Whoever reaches a storage writes what they like there: a value of another type is one line, and never a traceback."""

import json
import math
import sqlite3

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from mythos_lab.recipe.errors import Misplaced, RecipeError
from mythos_lab.search.attributes import KEPT, OF_STUDIES, OF_TRIALS
from mythos_lab.search.foreign import refusal
from mythos_lab.search.opening import find_study, open_study
from mythos_lab.search.storage import open_storage, patient
from mythos_lab.search.trial_states import is_told
from mythos_lab.search.widening import current_name
from mythos_lab.tracking.process import is_alive, machine
from tests.lab.search.tiny import write

MEANING = {
    "recipe": {}, "arms": {}, "constraints": [], "hold": None, "objectives": [["val/loss", "minimize"]], "seeds": 1,
    "space": {"x": {"~range": [0.0, 1.0], "whole": False, "log": False, "step": None, "label": None}},
}  # fmt: skip
RIGHT_OF_TRIALS = {
    "outcome": "complete", "reason": "why", "folder": "trials/0000", "worker": "host/1:2:3", "beat": 3, "taken": 0,
    "retry_of": 0, "attempt": 1, "blamed": True, "place": 0, "point": 2, "values_by_seed": {"val/loss": [0.5, None]},
    "mlflow_runs": ["a"], "candidate": "0f", "repeats": 0, "outside": {"x": 2}, "flops_per_step": 1e9,
    "loop_gain": {"2": 0.1}, "reports": {"2": 0.1}, **dict.fromkeys(KEPT, 0.5),
}  # fmt: skip
RIGHT_OF_STUDIES = {
    "uid": "0f", "num_trials": 4, "meaning": json.dumps(MEANING), "origin": json.dumps({"data": "", "code": {}}),
    "goes_on_as": "tiny~2", "mlflow_run": "a", "mlflow_store": "sqlite:///b", "mlflow_before": [{"store": "", "run": "a"}],
    "holdout_opened": {"at": "2026-11-30 10:00", "trials": [0]},
    "holdout_results": {"0": {"0": {"metrics": {"test/loss": 0.5}, "intervals": {"test/loss": [0.4, 0.6]}}}},
    "sampler": {"kind": "tpe"}, "pruner": {"kind": "none"}, "artifacts": "s3://bucket/study",
}  # fmt: skip
RIGHT_OF_OPTUNA = {
    "fixed_params": {"x": 0.5}, "constraints": [0.0], "constraints:a < b": 0.5, "completed_rung_0": 0.5,
    "NSGAIISampler:generation": 0, "NSGAIISampler:parent:0": [0], "cma:generation": 2, "x_for_tell": [0.5],
    "tpe:relative_params:0": "{", "tpe:relative_params:1": '"x": 1}', "grid_id": 1, "search_space": {"x": [1]},
}  # fmt: skip
OTHERS = ([], [[]], {}, {"a": []}, "x", 10**400, math.nan, -math.inf, None, True, 0.5, -1)
WORDS = {"outcome": ["good"], "flops_per_step": [0.0, -1, math.nan, math.inf], "loop_gain": [{"x": 1.0}, {"2": "x"}], "reports": [{"2": [1]}],
         "values_by_seed": [{"a": ["x"]}, {"a": 1}], "mlflow_runs": [[1]], "mlflow_before": [[1], [{"store": 1, "run": "a"}]], "NSGAIISampler:parent:0": [["x"]],
         "holdout_opened": [{"at": 1, "trials": [0]}, {"at": "", "trials": ["0"]}], "sampler": [{"kind": 1}],
         "holdout_results": [{"0": {"0": {"metrics": [], "intervals": {}}}}, {"x": {}}],
         "meaning": ["{}", "1", "[" * 10**5, json.dumps({**MEANING, "arms": []}),
                     json.dumps({**MEANING, "space": {"x": {"~range": ["a", 1]}}})],
         "origin": ["[]", json.dumps({"data": 1, "code": {}}), json.dumps({"data": "", "code": {"a": 1}})]}  # fmt: skip


def is_alike(value, right):
    """Whether a value may stand where the right one does."""
    if isinstance(right, float):
        return isinstance(value, float) or (type(value) is int and abs(value) < 2**64)
    return type(value) is type(right) and (type(value) is not int or 0 <= value < 2**53)


MAY_BE_NONE = ("constraints", "meaning")


def wrong(name, right):
    """Values of other types than the right one's, and some of the same that mean nothing."""
    others = [value for value in OTHERS if not is_alike(value, right) and not (value is None and name in MAY_BE_NONE)]
    return others + WORDS.get(name, [])


TRIALS = [(name, value) for name, right in RIGHT_OF_TRIALS.items() for value in wrong(name, right)]
STUDIES = [(name, value) for name, right in RIGHT_OF_STUDIES.items() for value in wrong(name, right)]
OPTUNA = [(name, value) for name, right in RIGHT_OF_OPTUNA.items() for value in wrong(name, right)]


def stored(*trials, **attrs):
    """What a reader gets of a storage that holds such trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    inner = optuna.storages.InMemoryStorage()
    number = inner.create_new_study([optuna.study.StudyDirection.MINIMIZE], "tiny")
    for name, value in attrs.items():
        inner.set_study_user_attr(number, name, value)
    for trial in trials:
        inner.create_new_trial(number, trial)
    return patient(inner, "storage x"), number


OURS = {"outcome": "complete", "taken": 0, "worker": "host/1:2:3", "folder": "trials/0000"}


def trial(state=TrialState.COMPLETE, system=None, **attrs):
    value = 0.5 if state is TrialState.COMPLETE else None
    return create_trial(state=state, value=value, user_attrs=attrs, system_attrs=system or {})


def test_every_attribute_has_a_type_and_a_value_that_is_right():
    assert set(OF_TRIALS) == set(RIGHT_OF_TRIALS)
    assert set(OF_STUDIES) == set(RIGHT_OF_STUDIES)
    storage, study = stored(trial(**RIGHT_OF_TRIALS, system=RIGHT_OF_OPTUNA), **RIGHT_OF_STUDIES)
    (read,) = storage.get_all_trials(study)
    assert (read.user_attrs, read.system_attrs) == (RIGHT_OF_TRIALS, RIGHT_OF_OPTUNA)
    assert storage.get_study_user_attrs(study) == RIGHT_OF_STUDIES


def said(call, *args):
    with pytest.raises(Misplaced) as caught:
        call(*args)
    (line,) = caught.value.lines
    assert len(line) < 400 and line.isprintable()
    return line


def test_a_wrong_value_in_a_trial_of_the_studys_own_is_one_line():
    for name, value in TRIALS:
        if name == "taken":  # by which it is the study's own
            continue
        storage, study = stored(trial(**{**OURS, name: value}))
        assert f"storage x: trial 0: attribute {name!r}: " in said(storage.get_all_trials, study), (name, value)


def test_a_wrong_value_that_optuna_keeps_is_one_line():
    for name, value in OPTUNA:
        storage, study = stored(trial(**OURS, system={name: value}))
        assert f"storage x: trial 0: attribute {name!r}: " in said(storage.get_trial, 0), (name, value)


def test_a_wrong_value_in_a_study_is_one_line():
    for name, value in STUDIES:
        storage, study = stored(**{name: value})
        line = said(storage.get_study_user_attrs, study)
        assert f"storage x: user attributes: attribute {name!r}: " in line, (name, value)


def test_a_wrong_value_in_a_told_trial_is_left_out():
    for name, value in (*TRIALS, *OPTUNA):
        system = {name: value} if name in RIGHT_OF_OPTUNA else {}
        storage, study = stored(trial(system=system, **({} if system else {name: value})))
        (read,) = storage.get_all_trials(study)
        assert is_told(read) and name not in {**read.user_attrs, **read.system_attrs}, (name, value)


def test_an_enqueued_trial_with_a_wrong_value_is_refused_and_says_which(tmp_path):
    space = write(tmp_path, space={"model.width": {"int": [8, 16], "step": 8}}, trials=1)
    for name, value in (*TRIALS, *OPTUNA):
        system = {name: value} if name in RIGHT_OF_OPTUNA else {}
        storage, study = stored(trial(TrialState.WAITING, system, **({} if system else {name: value})))
        (read,) = storage.get_all_trials(study)
        assert refusal(space, read).startswith(f"attribute {name!r}: "), (name, value)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"values": ["x"]}, "its values"), ({"values": [10**400]}, "its values"), ({"values": None}, "it is complete with"),
        ({"values": [math.nan]}, "it is complete with"), ({"intermediate_values": {"a": 0.5}}, "its reports"),
        ({"intermediate_values": {1: [0.5]}}, "its reports"), ({"params": {"x": 0.5}}, "its parameter 'x'"),
    ],
)  # fmt: skip
def test_a_trial_that_cannot_be_is_one_line(change, what):
    storage, study = stored(trial(**OURS))
    (held,) = storage.inner._studies[study].trials
    for name, value in change.items():
        setattr(held, f"_{name}" if hasattr(held, f"_{name}") else name, value)
    assert f"storage x: trial 0: {what}" in said(storage.get_all_trials, study)


def test_a_study_that_goes_on_as_itself_is_one_line():
    storage, _ = stored(goes_on_as="tiny")
    with pytest.raises(Misplaced, match="goes on as itself"):
        current_name(storage, "tiny")


LINES = {
    "a list": [1], "nothing": None, "a word for a number": {"op_code": 4, "worker_id": "w", "study_id": 0,
    "datetime_start": "x"}, "no fields": {"op_code": 2, "worker_id": "w", "study_id": 0}, "no operation":
    {"op_code": "x", "worker_id": "w"}, "a state that none is": {"op_code": 4, "worker_id": "w", "study_id": 0,
    "datetime_start": None, "state": 99},
}  # fmt: skip


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_that_comes_into_a_journal_while_it_is_open_is_one_line(line, tmp_path):
    """Another program may append what no study writes."""
    storage = open_storage(None, tmp_path)
    study = optuna.create_study(storage=storage, study_name="tiny")
    with (tmp_path / "journal.log").open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert "journal.log: line 2 is none that a study writes" in said(study.get_trials)


ROWS = [
    ("trial_user_attributes", "value_json", "{"), ("study_user_attributes", "value_json", "{"),
    ("trials", "state", "EATEN"), ("trial_values", "value_type", "ODD"), ("trial_params", "distribution_json", "[]"),
    ("trial_params", "distribution_json", "{}"), ("trials", "datetime_start", "x"), ("trial_values", "value", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "value"), ROWS)
def test_a_row_that_cannot_be_read_is_one_line(table, column, value, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=url, study_name="tiny")
    study.set_user_attr("uid", "0f")
    asked = study.ask()
    asked.suggest_float("x", 0, 1)
    asked.set_user_attr("worker", "w")
    study.tell(asked, 0.5)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute(f"UPDATE {table} SET {column} = ?", (value,))
    storage = open_storage(url, tmp_path)
    number = storage.get_study_id_from_name("tiny")
    assert said(lambda: (storage.get_study_user_attrs(number), storage.get_all_trials(number))).startswith("storage ")


def test_a_study_of_others_under_our_name_is_refused_in_a_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = write(tmp_path, space={"model.width": {"int": [8, 16], "step": 8}}, trials=1)
    study = open_study(space)
    for name, value in STUDIES:
        before = study.user_attrs.get(name)
        study.set_user_attr(name, value)
        for call in (open_study, find_study):
            with pytest.raises(RecipeError) as caught:
                call(space)
            assert len(caught.value.lines) == 1, (name, value)
        study._storage.inner.set_study_user_attr(
            study._study_id, name, RIGHT_OF_STUDIES[name] if before is None else before
        )


@pytest.mark.parametrize(
    "made", ["TRIGGER eats AFTER INSERT ON trials BEGIN DELETE FROM studies; END", "VIEW v AS SELECT 1"]
)
def test_a_database_that_acts_by_itself_is_refused(made, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    open_storage(url, tmp_path)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute(f"CREATE {made}")
    with pytest.raises(RecipeError, match="has the trigger or view '.*', which no storage of Optuna has") as caught:
        open_storage(url, tmp_path)
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize("pid", ["²", "9" * 400, "-1", "1\n", "x"])
def test_a_worker_whose_process_cannot_be_is_elsewhere(pid):
    assert is_alive(f"{machine()}:{pid}:0") is None


def test_a_candidate_that_was_put_there_and_is_none_of_the_space_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = write(tmp_path, space={"model.width": {"int": [8, 16], "step": 8}}, trials=1)
    study = open_study(space)
    study.add_trial(trial(**OURS))
    for call in (open_study, find_study):
        assert "trial 0, as the storage has it, is none of the study's: model.width: is missing" in said(call, space)
