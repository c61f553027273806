"""Machines that share a storage, a tracker and a place for artifacts, and no folder: here, directories of their own."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search.artifacts import Artifacts
from mythos_lab.search.attributes import NUM_TRIALS, OUTCOME
from mythos_lab.search.opening import enqueue_grid, open_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.worker import run_one
from mythos_lab.training.history import HISTORY, read_history
from mythos_lab.training.result import write_state
from tests.lab.search.driving import results
from tests.lab.search.tiny import work_off, write

FIELDS = {"sampler": "grid", "space": {"seed": {"int": [0, 1]}}, "heartbeat": 0.1}
RUN = "trials/0000/seed-0"
ALONE = "alone"  # a machine that has the study in its folder


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """What moves to another machine and loads the study's space there, with options by which it takes part."""
    options = [f"journal://{tmp_path}/journal.log", str(tmp_path / "artifacts")]

    def enter(name, artifacts=options[1]):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        space = write(tmp_path / name, **{**FIELDS, "name": "apart"})
        return space if name == ALONE else load_space(str(space.source), storage=options[0], artifacts=artifacts)

    enter.options = ["--storage", options[0], "--artifacts", options[1]]
    return enter


def run(*command):
    return CliRunner().invoke(app, list(command))


def begun_twice_and_finished(enter, names, *options):
    """A study of two trials, each laid down by the machine that began it, finished by a worker on a third; the study."""
    for name in names[:2]:
        space, asked = enter(name), iter(range(1, 10))
        study = open_study(space)
        study.set_user_attr(NUM_TRIALS, 2)
        enqueue_grid(study, space, 2)
        run_one(space, study, 2, lambda asked=asked: next(asked) == 3)
    outcomes = [trial.user_attrs.get(OUTCOME) for trial in study.get_trials()]
    assert outcomes == ["killed", "killed", None, None]
    enter(names[2])
    said = run("worker", "tiny.yaml", *options)
    assert said.exit_code == 0, said.output
    return study


def told(folder, *options):
    """What people are told on a machine, of a run, of the chosen ones and of all."""
    said = {}
    for command in (("depth", f"studies/apart/{RUN}"), ("holdout", "tiny.yaml"), ("report", "tiny.yaml")):
        asked = run(*command, *(options[2:] if command[0] == "depth" else options), "--json")
        assert asked.exit_code == 0, (command, asked.output)
        said[command[0]] = json.loads(asked.stdout)
    tables = {path.name: path.read_text() for path in (folder / "studies/apart/report").rglob("*.csv")}
    assert {"trials.csv", "depth_curves.csv", "cost.csv"} <= tables.keys()
    return said["depth"]["depth_curve"], said["holdout"]["test"], said["report"]["answer"], tables


def test_a_study_of_three_machines_without_a_folder_is_that_of_one(machine, tmp_path):
    alone = begun_twice_and_finished(machine, [ALONE] * 3)
    expected = told(tmp_path / ALONE)
    study = begun_twice_and_finished(machine, "abc", *machine.options)
    assert results(study) == results(alone)
    for name, place in (("a", "0000/seed-0"), ("b", "0001/seed-1")):
        before, after = (
            [entry["time"] for entry in read_history(tmp_path / on / "studies/apart/trials" / place / HISTORY)]
            for on in (name, "c")
        )
        assert before and after[: len(before)] == before, "it went on with what the other had logged"

    machine("d")
    without = run("report", "tiny.yaml", *machine.options[:2])
    assert without.exit_code == 2 and "keeps its runs in" in without.stderr
    assert run("depth", f"studies/apart/{RUN}").exit_code == 2
    assert told(tmp_path / "d", *machine.options) == expected


def test_which_of_two_ways_machines_share_runs_is_held(machine, tmp_path):
    open_study(machine("a"))
    for artifacts, said in ((None, "keeps its runs in .*artifacts; name that place by --artifacts"),
                            (str(tmp_path / "empty"), "has nothing of the study 'apart'")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            open_study(machine("b", artifacts))
    begun = write(tmp_path, **{**FIELDS, "name": "together"})
    work_off(begun)
    with pytest.raises(ValueError, match="was begun with one folder for all its machines"):
        open_study(load_space(str(begun.source), begun.folder, artifacts=str(tmp_path / "artifacts")))
    with pytest.raises(ValueError, match="artifacts nonsense://x: Protocol not known: nonsense"):
        Artifacts("nonsense://x", "apart")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda listing: {**listing, "files": {"../run.json": "0" * 64}}, "is no listing of a run"),
        (lambda listing: {**listing, "files": {"sitecustomize.py": "0" * 64}}, "is no listing of a run"),
        (lambda listing: {**listing, "files": {"run.json": "../../secret"}}, "is no listing of a run"),
        (lambda listing: {**listing, "files": {**listing["files"], "run.json": "0" * 64}}, "is missing"),
        (None, "is not what its run's listing says"),
    ],
)
def test_what_a_place_says_is_held_to_what_a_run_has(change, said, tmp_path):
    place, folder = tmp_path / "artifacts", tmp_path / "run"
    folder.mkdir()
    write_state(folder, {"key": "a" * 32})
    (folder / "run.lock").touch()
    (folder / "result.json").symlink_to(tmp_path / "elsewhere")
    artifacts = Artifacts(str(place), "study")
    artifacts.keep(folder, RUN)
    listing = place / "study" / RUN / "listing.json"
    written = json.loads(listing.read_text())
    assert list(written["files"]) == ["run.json"]
    if change is None:
        (listing.parent / written["files"]["run.json"]).write_text("{}")
    else:
        listing.write_text(json.dumps(change(written)))
    elsewhere = tmp_path / "other" / "run"
    with pytest.raises(Misplaced, match=said):
        artifacts.bring(elsewhere, RUN)
    assert not list(Path(tmp_path / "other").rglob("*.json"))


def test_who_is_behind_leaves_what_is_kept_as_it_is(tmp_path):
    artifacts, folders = Artifacts((tmp_path / "artifacts").as_uri(), "study"), [tmp_path / name for name in "ab"]
    for folder, extra in zip(folders, ({}, {"run_id": "0"}), strict=True):
        folder.mkdir()
        write_state(folder, {"key": "a" * 32, **extra})
    (folders[1] / "result.json").write_text("{}")
    artifacts.keep(folders[1], RUN)
    artifacts.keep(folders[0], RUN)
    artifacts.bring(folders[0], RUN)
    assert (folders[0] / "result.json").read_text() == "{}" and "run_id" in (folders[0] / "run.json").read_text()
    kept = tmp_path / "artifacts/study" / RUN
    assert len(list(kept.iterdir())) == 3, "two files and their listing"
