"""`mythos clean`: what is safe to remove, shown first; nothing of a live run, and nothing that a link leads to."""

import os
import time
from types import SimpleNamespace

import pytest

from mythos_lab.comparison import spent
from mythos_lab.comparison.spent import spent_weights
from mythos_lab.finished import cleaning
from mythos_lab.finished.cleaning import AT_WORK, cleaning_report, removable, remove
from mythos_lab.recipe import RecipeError
from mythos_lab.search.attributes import FOLDER
from mythos_lab.tasks.text import cache
from mythos_lab.tracking.claim import claimed
from mythos_lab.training.result import CHECKPOINT, LOCK, RESULT, STATE, WEIGHTS

OLD = time.time() - 90 * 86_400


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    """Results that are read as they stand: what they say is another file's matter."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(cleaning, "read_result", lambda folder: {"status": (folder / RESULT).read_text()})


def run(folder, *, ended=True, torn=False):
    folder.mkdir(parents=True)
    for name in (STATE, CHECKPOINT, WEIGHTS, *([RESULT] if ended else [])):
        (folder / name).write_text("finished")
    if torn:
        (folder / ".0123456789abcdef.partial").write_text("torn")
        os.utime(folder / ".0123456789abcdef.partial", (OLD, OLD))
    return folder


def names(found):
    return sorted(str(each.path.name) for each in found)


def test_checkpoints_of_ended_runs_and_torn_files_go_and_all_else_stays(tmp_path):
    ended, going = run(tmp_path / "runs/a", torn=True), run(tmp_path / "runs/b", ended=False)
    found = removable([tmp_path / "runs"], 30)
    assert names(found) == [".0123456789abcdef.partial", CHECKPOINT] and {each.path.parent for each in found} == {ended}
    assert (ended / CHECKPOINT).is_file(), "it was shown only"
    assert [remove(each) for each in found] == ["", ""]
    assert sorted(path.name for path in ended.iterdir()) == sorted([STATE, WEIGHTS, RESULT])
    assert (going / CHECKPOINT).is_file() and removable([tmp_path / "runs"], 30) == []
    nothing = cleaning_report([], [], removed=False)
    assert len(nothing.parts) == 1 and nothing.facts["removable"] == [], "no table without rows"


def test_what_a_live_run_holds_is_left(tmp_path):
    folder = run(tmp_path / "runs/a")
    (found,) = removable([tmp_path / "runs"], 30)
    with claimed(folder / LOCK):
        assert remove(found) == AT_WORK
    assert (folder / CHECKPOINT).is_file()
    (row,) = cleaning_report([found], [AT_WORK], removed=True).facts["removable"]
    assert row["what"] == f"left: {AT_WORK}"


def test_links_are_neither_followed_nor_removed(tmp_path):
    elsewhere = run(tmp_path / "elsewhere/a")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/linked").symlink_to(elsewhere)
    inner = run(tmp_path / "runs/b")
    (inner / CHECKPOINT).unlink()
    (inner / CHECKPOINT).symlink_to(elsewhere / CHECKPOINT)
    assert removable([tmp_path / "runs"], 30) == []
    whole = run(tmp_path / "runs/c")
    (found,) = removable([tmp_path / "runs"], 30)
    (whole / CHECKPOINT).unlink()
    (whole / CHECKPOINT).symlink_to(elsewhere / CHECKPOINT)  # between the list and the removal
    assert remove(found) == "a link" and (elsewhere / CHECKPOINT).is_file()


def test_caches_go_when_they_have_not_been_used_and_unfinished_ones_always(tmp_path):
    root = cache.cache_folder()
    for name, used in {"a" * 64: OLD, "b" * 64: time.time()}.items():
        (root / name).mkdir()
        (root / name / cache.META).write_text("{}")
        os.utime(root / name / cache.META, (used, used))
    torn = f"{'c' * 64}.x{cache.PART}"
    (root / torn).mkdir()
    (root / "linked").symlink_to(tmp_path)
    found = removable([], 30)
    assert names(found) == ["a" * 64, torn]
    with cache.FileLock(root / f"{'c' * 64}.lock"):
        assert [remove(each) for each in found] == ["", AT_WORK]
    assert (root / torn).is_dir() and (root / ("b" * 64)).is_dir() and not (root / ("a" * 64)).exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="there is no such folder"):
        removable([tmp_path / "nowhere"], 30)


def test_a_study_that_cannot_be_read_keeps_its_weights(tmp_path):
    (tmp_path / "studies/mine").mkdir(parents=True)
    (tmp_path / "studies/mine/study.json").write_text("{}")
    found, left = spent_weights([tmp_path / "studies"])
    assert not found and "weights are kept" in left[0]


def test_weights_of_trials_that_a_finished_study_did_not_choose_go(tmp_path, monkeypatch):
    study = tmp_path / "studies/mine"
    runs = [run(study / f"trials/{number}/seed-0") for number in range(3)]
    (study / "study.json").write_text("{}")
    (study / "space.yaml").write_text("")
    trials = [SimpleNamespace(user_attrs={FOLDER: number}) for number in range(3)]
    for name, value in {
        "load_space": lambda *_: None,
        "find_study": lambda space: SimpleNamespace(get_trials=lambda deepcopy: trials),
        "check_finished": lambda space, study: None,
        "chosen": lambda space, study: trials[1:2],
        "is_settled": lambda trial: True,
        "folder_of": lambda space, trial: study / f"trials/{trial.user_attrs[FOLDER]}",
    }.items():
        monkeypatch.setattr(spent, name, value)
    found, left = spent_weights([tmp_path / "studies"])
    assert [each.path for each in found] == [runs[0] / WEIGHTS, runs[2] / WEIGHTS] and not left
    with claimed(runs[2] / LOCK):
        assert [remove(each) for each in found] == ["", AT_WORK]
    assert not (runs[0] / WEIGHTS).exists() and (runs[1] / WEIGHTS).is_file() and (runs[2] / WEIGHTS).is_file()
