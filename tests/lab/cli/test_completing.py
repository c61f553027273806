"""The shell's completion, by the protocol in which typer's own scripts ask: verbs, recipes, spaces, fields, kinds."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.imports import imports_as_before


def offered(typed):
    words = ["mythos", *typed]
    asked = {"_MYTHOS_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    with imports_as_before():
        done = CliRunner().invoke(app, [], prog_name="mythos", env=asked)
    assert done.exit_code == 0 and done.exception is None
    return done.output.split()


@pytest.mark.parametrize(
    "typed, said",
    [
        (["eval"], {"evaluate"}),
        (["train", "gat"], {"gated_loop"}),
        (["study", "quick"], {"quickstart"}),
        (["train", "gated_loop", "training.max_"], {"training.max_steps="}),
        (["check", "gated_loop", "model.core.loops.hi"], {"model.core.loops.high="}),
        (["check", "gated_loop", "model.core.upd"], {"model.core.update.", "model.core.update="}),
        (
            ["check", "gated_loop", "model.core.injection=lt"],
            {"model.core.injection=lti", "model.core.injection=lti_input"},
        ),
        (["check", "gated_loop", "evaluation.ood="], {"evaluation.ood=false", "evaluation.ood=true"}),
        (["check", "gated_loop", "model.core.nonsense.deeper."], set()),
        (["check", "no_such_recipe", "model."], set()),
    ],
)
def test_what_is_offered(typed, said):
    assert set(offered(typed)) == said


def test_files_of_the_working_directory_are_offered_beside_our_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate_mine.yaml").write_text("")
    assert offered(["train", "gate"]) == ["gated_loop", "gate_mine.yaml"]


def test_a_strangers_code_is_not_imported_to_offer_its_fields(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text("raise SystemExit('imported')")
    (tmp_path / "theirs.yaml").write_text(
        "version: 1\nname: theirs\nimports: [theirs]\nmodel: {}\ntask: reachability\n"
    )
    assert offered(["train", "theirs.yaml", "training.max"]) == []


def test_names_are_offered_without_torch():
    code = "import sys\nfrom mythos_lab.cli.completing import recipes\nassert recipes('gated') and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
