"""What Optuna's clients show of a trial: a note in words, and its files."""

import json
from xml.etree import ElementTree

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore, download_artifact, get_all_artifact_meta

from mythos_lab.report.depth_svg import depth_svg
from mythos_lab.search import notes, trial_files, trial_note
from mythos_lab.search.artifacts import Artifacts
from mythos_lab.search.opening import open_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.trial_queue import hand_back, take
from tests.lab.search.tiny import work_off, write

WIDTH = "model.width"
FIELDS = {"space": {WIDTH: {"choice": [16, 24]}}, "sampler": "grid", "constraints": ["model.width < 20"], "trials": 2}


def note_of(study, trial):
    """A trial's note, as ``optuna_dashboard.get_note`` puts it together."""
    attrs, prefix = study._storage.get_study_system_attrs(study._study_id), f"dashboard:{trial._trial_id}:"
    if f"{prefix}note_ver" not in attrs:
        return None
    parts = sum(name.startswith(f"{prefix}note_str:") for name in attrs)
    return "".join(attrs[f"{prefix}note_str:{n}"] for n in range(parts))


def by_width(study):
    return {trial.params[WIDTH]: trial for trial in study.get_trials()}


def test_a_trial_says_what_it_was_and_has_its_files(here):
    space = write(here, **FIELDS)
    study = work_off(space)
    trained, vetoed = by_width(study)[16], by_width(study)[24]
    said = note_of(study, trained).splitlines()
    metric, interval = trained.value, ", 95 % interval over samples {} to {}"
    files = get_all_artifact_meta(trained, storage=study._storage)
    assert {file.filename: file.mimetype for file in files} == {"result.json": "application/json", "depth_curve.svg": "image/svg+xml"}  # fmt: skip
    store = FileSystemArtifactStore(space.folder / trial_files.FILES)
    for file in files:
        download_artifact(artifact_store=store, artifact_id=file.artifact_id, file_path=str(here / file.filename))
    result = json.loads((here / "result.json").read_text())
    low, high = result["intervals"]["val/accuracy"]
    assert said[:2] == ["**complete**", ""]
    assert f"- `val/accuracy`: {metric:.4g}" + interval.format(f"{low:.4g}", f"{high:.4g}") in said
    assert f"- `{WIDTH}`: `16`" in said and f"- in MLflow: `{result['run_id']}`" in said
    assert f"- run: `studies/tiny/{trained.user_attrs['folder']}`" in said
    drawn = ElementTree.parse(here / "depth_curve.svg").getroot()
    assert len(drawn.findall("{*}circle")) == len(result["depth_curve"])
    assert note_of(study, vetoed).startswith("**vetoed**: ") and "model.width" in note_of(study, vetoed)
    assert not get_all_artifact_meta(vetoed, storage=study._storage)


def test_notes_stay_with_their_trials_where_a_study_is_widened(here):
    study = work_off(write(here, **FIELDS))
    before = {trial.params[WIDTH]: note_of(study, trial) for trial in study.get_trials()}
    wide = open_study(write(here, **{**FIELDS, "space": {WIDTH: {"choice": [16, 24, 32]}}, "trials": 3}))
    assert wide.study_name == "tiny~2" and None not in before.values()
    assert {trial.params[WIDTH]: note_of(wide, trial) for trial in wide.get_trials()} == before


def test_files_go_where_machines_without_a_common_folder_keep_theirs(here):
    file = write(here, **FIELDS).source
    space = load_space(str(file), artifacts=str(here / "place"))
    study = work_off(space)
    files = get_all_artifact_meta(by_width(study)[16], storage=study._storage)
    kept = here / "place" / "tiny" / trial_files.FILES
    assert len(files) == 2 and {path.name for path in kept.iterdir()} == {file.artifact_id for file in files}
    store = Artifacts(str(here / "place"), "tiny").store(trial_files.FILES)
    with store.open_reader(files[0].artifact_id) as opened:
        assert json.loads(opened.read())["status"] == "finished"
    store.remove(files[0].artifact_id)
    with pytest.raises(optuna.artifacts.exceptions.ArtifactNotFound):
        store.open_reader(files[0].artifact_id)
    for odd in ("../study.json", "..", "/etc/passwd"):
        with pytest.raises(ValueError, match="Invalid artifact_id"):
            store.open_reader(odd)


def test_a_trial_that_is_run_again_has_files_of_its_own_run_alone(here):
    study = open_study(write(here, **{**FIELDS, "sampler": "random"}))
    study.enqueue_trial({WIDTH: 16})
    trial = take(study, 2)
    study._storage.set_trial_system_attr(trial._trial_id, "artifacts:0f", "{}")
    hand_back(study, trial, "its worker is gone")
    assert [get_all_artifact_meta(t, storage=study._storage) for t in study.get_trials()[1:]] == [[]]


def test_there_is_an_end_to_how_many_have_them(here, monkeypatch):
    for module in (notes, trial_files, trial_note):
        monkeypatch.setattr(module, "MOST", 1)
    study = work_off(write(here, **{**FIELDS, "constraints": []}))
    first, second = study.get_trials()
    assert note_of(study, first) and note_of(study, second) is None
    assert not get_all_artifact_meta(second, storage=study._storage)


def test_a_long_note_is_kept_in_parts():
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=0.5))
    notes.save_note(study, study.trials[0], "é" * 5000)
    assert note_of(study, study.trials[0]) == "é" * 5000


@pytest.mark.parametrize("values", [[0.5], [0.5, float("nan"), 1.0], [float("nan")]])
def test_a_depth_curve_is_drawn_whatever_is_known_of_it(values):
    counts = [1, 2, 4][: len(values)]
    drawn = ElementTree.fromstring(depth_svg(counts, values, [], "loss <nats>"))
    assert len(drawn.findall("{*}circle")) == sum(value == value for value in values)
