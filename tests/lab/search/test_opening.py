"""A grid's points wait a few at a time, and each is taken once."""

import ast
import json
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.errors import Misplaced, Unreachable
from mythos_lab.search import opening
from mythos_lab.search.opening import enqueue_grid, find_study, num_repeats, open_study
from mythos_lab.search.trial_queue import settle, take
from mythos_lab.search.trial_states import is_settled
from tests.lab.search.test_trial_queue import meanwhile
from tests.lab.search.tiny import write
from tests.tasks.text.conftest import sentence

SEARCH = Path(opening.__file__).parent
POINTS = {"training.max_steps": {"int": [1, 100]}, "seed": {"int": [0, 1]}}


def waiting(study):
    return study.get_trials(states=[TrialState.WAITING])


def test_few_points_of_a_grid_wait_at_a_time_and_each_is_taken_once(tmp_path):
    space = write(tmp_path, space=POINTS, sampler="grid")
    study = open_study(space)
    most = 0
    while sum(map(is_settled, study.get_trials())) < 200:
        for _ in range(2):  # two machines
            enqueue_grid(study, space, 200, num_workers=20)
        most = max(most, len(waiting(study)))
        while trial := take(study, 200):
            space.candidate(trial)
            settle(study, trial, TrialState.COMPLETE, "complete", values=[0.0])
    assert most == 80, "four for each worker"
    points = [tuple(sorted(t.params.items())) for t in study.get_trials()]
    assert len(points) == len(set(points)) == 200
    enqueue_grid(study, space, 200)
    assert not waiting(study)


def test_who_comes_too_late_for_the_last_point_that_waits_leaves_nothing(tmp_path, monkeypatch):
    space = write(tmp_path, space=POINTS, sampler="grid")
    study = open_study(space)
    study.enqueue_trial({"training.max_steps": 1, "seed": 0}, user_attrs={"point": 0})
    meanwhile(monkeypatch, study._storage, "set_trial_state_values", lambda: take(study, 200))
    assert take(study, 200) is None
    assert [t.state.name for t in study.get_trials()] == ["RUNNING"]
    assert take(study, 200) is None and len(study.get_trials()) == 1, "nothing waits"


def rows(folder, texts):
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def test_a_study_goes_on_with_the_data_and_the_code_that_it_was_begun_with(tmp_path, monkeypatch):
    (tmp_path / "mine_to_search.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    texts = [sentence(i) for i in range(40)]
    rows(tmp_path, texts)
    said = [
        f"task.path={tmp_path}/rows.jsonl",
        "task.length=16",
        "imports=[mine_to_search]",
        "training.schedule.warmup_steps=0",
    ]
    fields = {
        "recipe": "fixed_depth",
        "overrides": said,
        "objectives": {"val/loss": "minimize"},
        "space": {"seed": {"int": [0, 9]}},
    }
    for _ in range(2):
        open_study(write(tmp_path, **fields))
    rows(tmp_path, texts[1:])
    with pytest.raises(
        Misplaced, match="the study 'tiny' cannot go on as it was begun: task: the data has changed"
    ) as caught:
        open_study(write(tmp_path, **fields))
    assert "\n" not in str(caught.value)
    rows(tmp_path, texts)
    (tmp_path / "mine_to_search.py").write_text("# another")
    open_study(write(tmp_path, **fields))  # this process runs what it imported
    del sys.modules["mine_to_search"]
    with pytest.raises(
        Misplaced, match="cannot go on .*: imports: the source of 'mine_to_search' has changed since: was "
    ):
        open_study(write(tmp_path, **fields))
    assert find_study(write(tmp_path, **fields)).trials == [], "what was found can be read"
    del sys.modules["mine_to_search"]


def test_arms_begin_with_the_first_and_come_once_whatever_number_is_asked_for(tmp_path):
    space = write(tmp_path, arms={"full": {}, "deep": {"model.core.depth": 2}, "wide": {"model.width": 32}})
    assert space.num_trials(1) == 1 and space.sampler(1)[0].kind == space.sampler(3)[0].kind == "grid"
    for number in (1, 3):
        study = open_study(space, number)
        enqueue_grid(study, space, number)
        while (trial := take(study, number)) is not None:
            space.candidate(trial)
            settle(study, trial, TrialState.COMPLETE, "complete", values=[1.0])
    assert [t.params["arm"] for t in study.get_trials()] == ["full", "deep", "wide"]


def test_a_grid_takes_what_a_sampler_has_left_and_repeats_nothing(tmp_path):
    lr = {"training.optimizer.lr": {"float": [0.001, 0.1], "step": 0.011}}
    space = write(tmp_path, space={**lr, "model.core.depth": {"int": [1, 2]}})
    assert space.num_points == 20
    study = open_study(space, 8)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for _ in range(8):
        space.candidate(trial := take(study, 8))
        settle(study, trial, TrialState.COMPLETE, "complete", values=[0.0])
    repeats = 8 - len({tuple(t.params.items()) for t in study.get_trials()})
    assert num_repeats(study, space) == repeats > 0, "of the seed's draws"
    wanted = space.num_trials(100) + repeats
    study = open_study(space, wanted)
    enqueue_grid(study, space, wanted)
    assert len(waiting(study)) == 12 + repeats
    while trial := take(study, wanted):
        space.candidate(trial)
        settle(study, trial, TrialState.COMPLETE, "complete", values=[0.0])
    found = [tuple(round(v, 9) for v in t.params.values()) for t in study.get_trials()]
    assert len(found) == wanted and len(set(found)) == 20


def test_finding_a_study_writes_nothing(tmp_path):
    space = write(tmp_path, space=POINTS)
    with pytest.raises(RecipeError, match="the study 'tiny' has not been begun"):
        find_study(space)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.yaml"]
    begun = open_study(space, 50)
    take(begun, 50)
    before = (space.folder / "journal.log").read_bytes()
    found = find_study(space)
    assert len(found.get_trials()) == 1 and (space.folder / "journal.log").read_bytes() == before
    with pytest.raises(RecipeError, match="was begun with another space.seed: 0 to 1, now 1 to 1;"):
        find_study(write(tmp_path, space={**POINTS, "seed": {"int": [1, 1]}}))


def test_a_worker_waits_for_a_storage_that_restarts_and_not_for_ever(monkeypatch):
    tries, pauses, answers_at = [], [], 3

    def away(*given):
        tries.append(given)
        if len(tries) < answers_at:
            raise Unreachable("storage: away")
        return "study"

    monkeypatch.setattr(opening, "open_study", away)
    monkeypatch.setattr(opening.time, "sleep", pauses.append)
    assert opening.join_study("space", 7, 2) == "study" and tries == [("space", 7, 2)] * 3 and len(pauses) == 2
    answers_at = 10**6
    with pytest.raises(Unreachable):
        opening.join_study("space", 7, 2)
    assert 30 <= sum(pauses[2:]) <= 60


def test_workers_of_every_engine_join_and_the_study_alone_opens():
    callers = {
        path.relative_to(SEARCH).as_posix(): node.func.id
        for path in SEARCH.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("open_study", "join_study")
    }
    assert callers.pop("opening.py") == "open_study"
    assert {path for path, name in callers.items() if name == "open_study"} == {"study.py"}
    assert {path for path, name in callers.items() if name == "join_study"} == {
        "worker.py", "unattended.py", "engines/ray.py", "engines/slurm.py",
    }  # fmt: skip
