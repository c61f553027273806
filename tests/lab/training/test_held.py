"""A run's data and code are its own: what has changed since is refused in one line, wherever a run is gone on with."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.training.result import load_run
from mythos_lab.training.run import Stopped, run
from tests.tasks.text.conftest import sentence
from tests.tasks.text.corpora import CORPORA

SMALL = [
    "training.max_steps=4", "training.validate_every=2", "training.batch_size=4", "model.width=16",
    "task.length=16", "task.validation_size=8", "task.test_size=8", "training.schedule.warmup_steps=0",
    "training.num_threads=1", "evaluation.knockouts=false", "evaluation.depth_factor=1",
]  # fmt: skip
TEXTS = [sentence(i) for i in range(60)]
MODULE = '''
from mythos_blocks import component
from mythos_blocks.injection.none import NoInjection
from beside import NAME

@component("injection", NAME)
class Mine(NoInjection):
    """Nothing, by another name."""
'''


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "cache"))


def overrides(fields):
    if "dataset" in fields:
        return [f"task.dataset={{name: {fields['dataset']['name']}}}", *SMALL]
    return [f"task.path={fields['path']}", *SMALL]


def stopped(said):
    with pytest.raises(Stopped) as caught:
        run(load_recipe("fixed_depth", said), should_stop=lambda: True)
    return caught.value.folder


def assert_refused(act, said):
    with pytest.raises(Misplaced, match=said) as caught:
        act()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tokenizer", ["bytes", "{kind: bpe, vocab_size: 300}"])
@pytest.mark.parametrize("kind", ["rows.jsonl", "rows.csv.gz", "a folder", "hub, JSON Lines"])
def test_other_data_is_neither_trained_on_nor_measured(kind, tokenizer, tmp_path):
    (tmp_path / "corpus").mkdir()
    said = [*overrides(CORPORA[kind](tmp_path / "corpus", TEXTS)), f"task.tokenizer={tokenizer}"]
    begun, done = stopped(said), run(load_recipe("fixed_depth", said)).folder
    CORPORA[kind](tmp_path / "corpus", [sentence(99), *TEXTS[1:]])
    changed = "the data of the task 'text' has changed since the run: was [0-9a-f]{12}, is [0-9a-f]{12} \\(.*text_sha256"
    assert_refused(lambda: run(load_recipe("fixed_depth", said), folder=begun), changed)
    assert_refused(lambda: load_run(done), changed)
    CORPORA[kind](tmp_path / "corpus", TEXTS)
    assert run(load_recipe("fixed_depth", said), folder=begun).metrics["val/loss"] > 0 and load_run(done)


def test_every_verb_that_reads_a_run_refuses_in_one_line(tmp_path):
    fields = CORPORA["rows.jsonl"](tmp_path, TEXTS)
    said = overrides(fields)
    begun, done = stopped(said), run(load_recipe("fixed_depth", said)).folder
    CORPORA["rows.jsonl"](tmp_path, TEXTS[1:])
    for command in (["train", "fixed_depth", *said, "--resume", str(begun)], ["depth", str(done)]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2 and "has changed since the run" in result.stderr
        assert "(text_sha256 was " in result.stderr and "text_documents was 60, is 59" in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["data.json", "environment.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "of another kind"])
def test_what_a_run_wrote_of_itself_is_read_or_refused(name, damage, tmp_path):
    said = overrides(CORPORA["rows.jsonl"](tmp_path, TEXTS))
    begun, done = stopped(said), run(load_recipe("fixed_depth", said)).folder
    for folder in (begun, done):
        path = folder / name
        text = path.read_text()
        path.unlink()
        if damage != "gone":
            path.write_text({"cut": text[: len(text) // 2], "empty": "", "of another kind": "[]"}[damage])
    for act in (lambda: run(load_recipe("fixed_depth", said), folder=begun), lambda: load_run(done)):
        with pytest.raises(ValueError, match=name) as caught:
            act()
        assert "\n" not in str(caught.value)


def test_a_generated_task_that_draws_otherwise_is_other_data(tmp_path, monkeypatch):
    from mythos_blocks.declaring.registry import lookup

    done = run(load_recipe("looped", ["task=parity", *SMALL[:4], *SMALL[5:]])).folder
    monkeypatch.setattr(lookup("task", "parity"), "format", "of another release", raising=False)
    assert_refused(lambda: load_run(done), "the data of the task 'parity' has changed since the run: was ")


def test_what_was_left_out_is_named_by_the_run(tmp_path, capsys):
    path = CORPORA["rows.jsonl"](tmp_path, TEXTS)["path"]
    with open(path, "a") as file:
        file.write('{"text": 3}\n{"text": "' + TEXTS[0].replace("\n", "\\n") + '"}\n')
    result = run(load_recipe("fixed_depth", overrides({"path": path})), progress=True)
    shown = capsys.readouterr().err
    assert f"data: 1 of 62 documents of {path!r} are left out: 1 skipped: 1 int, not text (rows.jsonl line 61)" in shown
    assert f"data: 1 of 61 documents of {path!r} are copies of others" in shown
    data = json.loads((result.folder / "data.json").read_text())
    assert (data["text_skipped"], data["text_copies"]) == ("1: 1 int, not text", "1")
    from mlflow import MlflowClient

    tags = MlflowClient().get_run(result.run_id).data.tags
    assert tags["mythos.data_text_skipped"] == "1: 1 int, not text" and tags["mythos.data_text_copies"] == "1"
    checked = CliRunner().invoke(app, ["check", "fixed_depth", *overrides({"path": path})])
    assert "1 of 62 documents" in checked.output and checked.exit_code == 0


def mythos(tmp_path, *command):
    return subprocess.run(
        [sys.executable, "-m", "mythos_lab.cli", *command], capture_output=True, text=True, cwd=tmp_path
    )


@pytest.mark.parametrize("edited", ["mine.py", "beside.py"])
def test_an_edited_module_is_named_and_not_gone_on_with(edited, tmp_path, monkeypatch):
    """In processes of their own: a module that was imported is the code that a process runs."""
    import os

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text('NAME = "of_mine"\n')
    said = ["fixed_depth", "imports=[mine]", *overrides(CORPORA["rows.jsonl"](tmp_path, TEXTS))]
    for number in range(2):
        done = mythos(tmp_path, "train", *said, f"seed={number}")
        assert done.returncode == 0, done.stderr
        if not number:
            with (tmp_path / edited).open("a") as file:
                file.write("# another version\n")
    one, other = sorted((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    codes = [json.loads((folder / "environment.json").read_text())["code"] for folder in (one, other)]
    assert [set(code) for code in codes] == [{"mine"}] * 2 and codes[0] != codes[1]
    said_no = mythos(tmp_path, "depth", str(one))
    assert said_no.returncode == 2 and len(said_no.stderr.strip().splitlines()) == 1
    assert f"the source of 'mine' has changed since: was {codes[0]['mine']}, is {codes[1]['mine']}" in said_no.stderr
    assert mythos(tmp_path, "depth", str(other)).returncode == 0
