"""``mythos inspect`` tells what a stranger's work would do, and does none of it."""

import json
import os
import sys

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.inspection import inspect
from mythos_lab.recipe import RecipeError

SPACE = {
    "name": "..",
    "recipe": "recipe.yaml",
    "storage": "journal:////home/me/.bash_aliases",
    "sampler": {"kind": "import", "path": "their.sampler.Best"},
    "space": {"model.width": {"int": [8, 16]}},
    "objectives": {"val/loss": "minimize"},
}
RECIPE = {
    "name": "theirs",
    "description": "see https://about",
    "imports": ["theirs"],
    "defaults": ["/training: quick", "_self_"],
    "task": {"kind": "text", "path": "/etc/passwd"},
    "tracking": {"uri": "http://me:secret@evil:5000"},
}


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    folder = tmp_path / "theirs"
    (folder / ".git").mkdir(parents=True)
    (folder / "space.yaml").write_text(json.dumps(SPACE))
    (folder / "recipe.yaml").write_text(json.dumps(RECIPE))
    (folder / "theirs.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    (folder / "depth_curve.png").symlink_to(tmp_path / "victim")
    os.mkfifo(folder / "pipe.yaml")
    (folder / "journal.log").write_text('{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{"folder":"/etc"}}\n')
    (folder / "huge.json").touch()
    os.truncate(folder / "huge.json", 2**40)
    monkeypatch.chdir(folder)
    return folder


def test_a_folder_is_told_and_nothing_is_done(theirs):
    before = sorted(theirs.parent.rglob("*"))
    done = CliRunner().invoke(app, ["inspect", ".", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    expected = {
        "is": ["study", "search space", "a recipe"],
        "imports": ["theirs, which lies beside it", "their.sampler.Best"],
        "reads": ["/etc/passwd", "/training: quick", "recipe.yaml"],
        "writes": ["runs/theirs-", "journal:////home/me/.bash_aliases"],
        "reaches": ["evil:5000"],
        "beware": ["depth_curve.png is a link", ".git", "theirs.py", "pipe.yaml", "'..' is no name", "'/etc'", "storage: journal"],
    }  # fmt: skip
    for verb, words in expected.items():
        for word in words:
            assert any(word in what for what in told[verb]), (verb, word, told[verb])
    assert "secret" not in done.output
    assert sorted(theirs.parent.rglob("*")) == before and "theirs" not in sys.modules


@pytest.mark.parametrize("name", ["recipe.yaml", "space.yaml"])
def test_a_file_is_told(theirs, name):
    told = inspect(theirs / name).told
    assert any("theirs" in what for what in told["imports"]) and any("evil" in what for what in told["reaches"])


def test_nothing_is_told_of_what_a_recipe_does_not_say(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: plain\nmodel: {width: 8}\ndescription: see https://about\n")
    told = inspect(tmp_path / "recipe.yaml").told
    assert not told["imports"] and not told["reads"] and not told["reaches"] and not told["beware"]


def test_what_is_not_there_is_said_in_a_line(tmp_path):
    with pytest.raises(RecipeError, match="no such file or folder"):
        inspect(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["recipe.yaml", "model.safetensors", "journal.log", "environment.json", "last.ckpt"])
def test_a_pipe_is_told_and_not_waited_for(name, tmp_path):
    os.mkfifo(tmp_path / name)
    for place in (tmp_path / name, tmp_path):
        assert any("a pipe, a socket or a device" in what for what in inspect(place).told["beware"])
