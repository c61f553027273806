"""A run's data and code are its own: what has changed since is refused in one line, wherever a run is gone on with."""

import json
import os
import shutil
import zipfile

import pytest
import yaml
from mlflow import MlflowClient
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.finished.run import load
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.training.assembly import assemble
from mythos_lab.training.held import DATA, ENVIRONMENT, data_of, hold
from mythos_lab.training.result import key_of, load_run
from mythos_lab.training.run import Stopped, run
from mythos_lab.training.sealed import read_json, read_yaml, write_json, write_yaml
from tests.tasks.text.conftest import sentence
from tests.tasks.text.corpora import CORPORA

SMALL = [
    "training.max_steps=4", "training.validate_every=2", "training.batch_size=4", "model.width=16",
    "task.length=32", "task.validation_size=8", "task.test_size=8", "training.schedule.warmup_steps=0",
    "training.num_threads=1", "evaluation.knockouts=false", "evaluation.depth_factor=1",
]  # fmt: skip
TEXTS = [sentence(i) for i in range(60)]


def overrides(fields):
    if "dataset" in fields:
        return [f"task.dataset={{name: {fields['dataset']['name']}}}", *SMALL]
    return [f"task.path={fields['path']}", *SMALL]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus with a row of another type and one that stands twice; a run that was stopped and one that is done."""
    folder = tmp_path_factory.mktemp("made")
    lines = CORPORA["rows.jsonl"](folder, [*TEXTS, TEXTS[0]])["path"]
    with open(lines, "a") as file:
        file.write('{"text": 3}\n')
    said = overrides({"path": lines})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        with pytest.raises(Stopped) as caught:
            run(load_recipe("fixed_depth", said), should_stop=lambda: True)
        result = run(load_recipe("fixed_depth", said))
        tags = MlflowClient().get_run(result.run_id).data.tags
    return said, folder / caught.value.folder, folder / result.folder, tags


@pytest.fixture
def copies(made, tmp_path):
    """The same again, of their own for every test; the corpus is where it was."""
    said, *folders, _ = made
    return said, *(
        shutil.copytree(folder, tmp_path / name) for folder, name in zip(folders, ("begun", "done"), strict=True)
    )


def refused(act):
    with pytest.raises(Misplaced) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("tokenizer", ["bytes", "{kind: bpe, vocab_size: 300}"])
@pytest.mark.parametrize("kind", CORPORA)
def test_other_data_of_any_kind_is_not_what_a_run_was_begun_with(kind, tokenizer, tmp_path):
    (tmp_path / "corpus").mkdir()
    fields = CORPORA[kind](tmp_path / "corpus", TEXTS)
    recipe = load_recipe("fixed_depth", [*overrides(fields), f"task.tokenizer={tokenizer}"])
    (tmp_path / DATA).write_text(json.dumps(data_of(recipe, assemble(recipe)[1])))
    (tmp_path / ENVIRONMENT).write_text("{}")
    hold(tmp_path, recipe, assemble(recipe)[1])
    CORPORA[kind](tmp_path / "corpus", [sentence(99), *TEXTS[1:]])
    said = refused(lambda: hold(tmp_path, recipe, assemble(recipe)[1]))
    assert (
        "the data of the task 'text' has changed since the run: was " in said
        and "(text_sha256 was " in said.replace("tokenizer_sha256", "text_sha256")
    )


def test_every_verb_that_goes_on_with_a_run_refuses_in_one_line_and_compare_says_so(copies):
    said, begun, done = copies
    path = said[0].removeprefix("task.path=")
    with open(path) as file:
        text = file.read()
    try:
        with open(path, "w") as file:
            file.write(text.replace("apples", "apes"))
        for command in (["train", "fixed_depth", *said, "--resume", str(begun)], ["depth", str(done)]):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 2 and "has changed since the run: was " in result.stderr
            assert len(result.stderr.strip().splitlines()) == 1
        compared = CliRunner().invoke(app, ["compare", str(done), str(done), "--metric", "val/loss", "--json"])
        assert compared.exit_code == 0, "what was recorded can be compared still"
        told = json.loads(compared.stdout)
        assert len(told["changed_since"]) == 2 and all(
            f"{done}: the data of the task 'text' has changed since the run: was " in line
            for line in told["changed_since"]
        )
        os.remove(path)
        gone = CliRunner().invoke(app, ["compare", str(done), str(done), "--metric", "val/loss"])
        assert gone.exit_code == 2 and len(gone.stderr.strip().splitlines()) == 1
        assert f"{done}/recipe.yaml: task: path: no such file" in gone.stderr
    finally:
        with open(path, "w") as file:
            file.write(text)
    told = json.loads(
        CliRunner().invoke(app, ["compare", str(done), str(done), "--metric", "val/loss", "--json"]).stdout
    )
    assert told["changed_since"] == []
    assert load_run(done)


def test_other_code_is_not_what_a_run_was_begun_with(copies):
    said, begun, done = copies
    for folder in (begun, done):
        machine = read_json(folder / ENVIRONMENT, key := key_of(folder))
        assert machine["code"] == {}
        write_json(folder / ENVIRONMENT, {**machine, "code": {"mine": "0123456789abcdef"}}, key)
    changed = "imports: the source of 'mine' has changed since: was 0123456789abcdef, is not there"
    assert changed in refused(lambda: load_run(done))
    with zipfile.ZipFile(done / "code.zip", "w") as kept:
        kept.writestr("mine/__init__.py", "")
    assert f"{changed} (as it was: {done / 'code.zip'}); put the old code back" in refused(lambda: load_run(done))
    declared = yaml.safe_load(read_yaml(done / "recipe.yaml", key))
    declared["model"]["core"]["update"] = "mine"
    write_yaml(done / "recipe.yaml", yaml.safe_dump(declared), key)
    with pytest.raises(RecipeError, match=f"unknown update 'mine'.*; the source of 'mine' as it was is in {done}"):
        load(done)  # as where the package is not installed
    recipe = load_recipe("fixed_depth", said)
    assert changed in refused(lambda: run(recipe, folder=begun))


def test_a_generated_task_that_draws_otherwise_is_other_data(tmp_path, monkeypatch):
    from mythos_blocks.declaring.registry import lookup

    recipe = load_recipe("looped", ["task=parity", "model.width=16"])
    (tmp_path / DATA).write_text(json.dumps(data_of(recipe, assemble(recipe)[1])))
    (tmp_path / ENVIRONMENT).write_text("{}")
    monkeypatch.setattr(lookup("task", "parity"), "format", "of another release", raising=False)
    assert "the data of the task 'parity' has changed since" in refused(
        lambda: hold(tmp_path, recipe, assemble(recipe)[1])
    )


def test_what_was_left_out_and_what_stands_twice_is_named_by_the_run(made, capsys):
    said, _, done, tags = made
    data = json.loads((done / DATA).read_text())
    assert (data["text_skipped"], data["text_copies"]) == ("1: 1 int, not text", "1")
    assert tags["mythos.data_text_skipped"] == "1: 1 int, not text" and tags["mythos.data_text_copies"] == "1"
    checked = CliRunner().invoke(app, ["check", "fixed_depth", *said])
    assert checked.exit_code == 0, checked.output
    for line in ("1 of 62 documents of ", "1 skipped: 1 int, not text (rows.jsonl line 62)", "are copies of others"):
        assert line in checked.stdout
