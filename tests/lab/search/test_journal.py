"""Journals whose end was cut, and whose folder was moved, go on."""

import os
import shutil
import subprocess
import sys
import threading

import optuna
import pytest
from optuna.trial import TrialState

from mythos_lab.search.journal import Journal
from mythos_lab.search.opening import open_study
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import settle, take
from tests.lab.search.tiny import write

SPACE = {"seed": {"int": [0, 99]}}


def begun(folder, num_trials=3):
    space = write(folder, space=SPACE, sampler="random", trials=50)
    study = open_study(space)
    for _ in range(num_trials):
        space.candidate(trial := take(study, 50))
        settle(study, trial, TrialState.COMPLETE, "complete", values=[0.5])
    return space, space.folder / "journal.log"


TAILS = {
    "half a line": lambda whole: whole[:-7],
    "its line break": lambda whole: whole[:-1],
    "zeros": lambda whole: whole + bytes(4096),
    "half a line more": lambda whole: whole + b'{"op_code": 4, "trial_i',
    "a line that is none": lambda whole: whole + b"\x00\x00\x00\n",
}


@pytest.mark.parametrize("cut", TAILS.values(), ids=TAILS)
def test_a_torn_end_is_named_and_kept_aside_and_the_study_goes_on(cut, here, capsys):
    space, journal = begun(here)
    whole = journal.read_bytes()
    journal.write_bytes(cut(whole))
    study = open_study(space)
    said = capsys.readouterr().err
    (aside,) = journal.parent.glob("journal.log.torn-*")
    assert str(journal) in said and aside.name in said and len(said.strip().splitlines()) == 1
    assert cut(whole).endswith(aside.read_bytes()) and aside.read_bytes()
    assert len(study.get_trials()) == 3
    take(study, 50)
    assert len(open_study(space).get_trials()) >= 3 and not capsys.readouterr().err


def test_a_whole_journal_is_left_as_it_is(here):
    space, journal = begun(here)
    before = journal.read_bytes()
    Journal(journal)
    assert journal.read_bytes() == before and not list(journal.parent.glob("*.torn-*"))


def test_a_write_that_fails_half_way_leaves_whole_lines(here, monkeypatch):
    space, journal = begun(here)
    before = journal.read_bytes()
    storage = Journal(journal)
    monkeypatch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        storage.append_logs([{"op_code": 0, "worker_id": "x" * 100}])
    assert journal.read_bytes() == before


def test_a_lock_that_was_left_where_the_folder_stood_before_holds_up_nobody(here):
    space, journal = begun(here)
    os.symlink("/nowhere/journal.log", f"{journal}.lock")
    study = optuna.load_study(study_name="tiny", storage=open_storage(None, space.folder))
    opened = threading.Thread(target=lambda: study.set_user_attr("x", 1), daemon=True)
    opened.start()
    opened.join(10)
    assert not opened.is_alive()


STUDY = [sys.executable, "-m", "mythos_lab.cli", "study", "tiny.yaml", "--workers", "1"]


@pytest.mark.slow
def test_a_moved_study_works_at_its_new_place_and_leaves_the_old_one_gone(tmp_path, monkeypatch):
    """With everything beside it: the study's folder, MLflow's database and artifacts. The name is hard to write down."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    old, new = tmp_path / "50%25 a#b?c ü", tmp_path / "elsewhere" / "new %3F place"
    old.mkdir()
    write(old, space=SPACE, sampler="random", trials=2)

    def run(folder, *more):
        return subprocess.run([*STUDY, *more], cwd=folder, capture_output=True, text=True, timeout=300)

    first = run(old)
    assert first.returncode == 0, first.stdout + first.stderr
    assert {path.name for path in tmp_path.iterdir()} == {old.name}
    assert {"mlflow.db", "mlruns", "studies"} <= {path.name for path in old.iterdir()}
    new.parent.mkdir()
    shutil.move(old, new)
    again = run(new, "--trials", "3")
    assert again.returncode == 0, again.stdout + again.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere"} and list(new.parent.iterdir()) == [new]
    assert len(list(new.glob("mlruns/*/*/artifacts/result.json"))) == 3
    lost = new / "mlflow.db"
    lost.unlink()
    shown = run(new, "--trials", "3")
    assert shown.returncode == 0 and "best trials" in shown.stdout and "MLflow is told nothing" in shown.stderr
