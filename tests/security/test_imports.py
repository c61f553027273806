"""What is imported because a file says so: not to look, not in a record unless it is the recorded module, and said."""

import json
import sys

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.imports import ALLOWED, imports_as_before, withhold_imports
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.code import source_digest
from mythos_lab.recipe.compose import validate
from mythos_lab.search.samplers import read_sampler
from tests.security import marking, tiny, write

VERBS = {
    "check": ["check", "recipe.yaml"],
    "cost": ["cost", "recipe.yaml"],
    "match": ["match", "recipe.yaml"],
    "depth": ["depth", "run"],
    "measure": ["measure", "run"],
    "compare": ["compare", "run", "run"],
    "report": ["report", "run"],
    "holdout": ["holdout", "space.yaml"],
    "worth": ["worth", "recipe.yaml", "--dry-run"],
}
"""Every verb that looks at what somebody hands over."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A stranger's folder, and the marker that its module leaves."""
    marker = tmp_path / "executed"
    stranger = tmp_path / "stranger"
    write(stranger / "recipe.yaml", tiny(imports=["strange"]))
    write(stranger / "run" / "recipe.yaml", tiny(imports=["strange"]))
    write(stranger / "run" / "run.json", {"key": "0"})
    for name in ("result.json", "environment.json", "data.json"):
        (stranger / "run" / name).write_text('{"status": "finished", "metrics": {}}')
    write(
        stranger / "space.yaml",
        {"name": "s", "recipe": "recipe.yaml", "space": {"seed": {"int": [0, 1]}}, "objectives": {"val/loss": "minimize"}},
    )  # fmt: skip
    (stranger / "strange.py").write_text(marking(marker))
    monkeypatch.chdir(stranger)
    yield stranger
    sys.path[:] = [part for part in sys.path if part != str(stranger)]
    sys.modules.pop("strange", None)


@pytest.mark.parametrize("arguments", VERBS.values(), ids=VERBS)
def test_to_look_imports_nothing(arguments, folder):
    CliRunner().invoke(app, [*arguments, "--no-imports"])
    assert not (folder.parent / "executed").exists() and "strange" not in sys.modules


def test_what_is_imported_is_said_in_one_line(folder):
    result = CliRunner().invoke(app, ["cost", "recipe.yaml"])
    assert (folder.parent / "executed").exists(), result.output
    assert f"imports: strange from {folder / 'strange.py'}\n" in result.stderr


def test_a_part_that_only_an_import_knows_is_named_with_the_reason(folder):
    write(folder / "recipe.yaml", tiny(imports=["strange"], task={"kind": "strangest"}))
    result = CliRunner().invoke(app, ["cost", "recipe.yaml", "--no-imports"])
    assert result.exit_code == 2 and "unknown task 'strangest'" in result.stderr
    assert "imports: not imported (--no-imports), so that what they register is unknown: strange" in result.stderr


@pytest.mark.parametrize(
    "change",
    [{"training": {"max_stepps": 3}}, {"trainings": {}}, {"training": {"max_steps": "many"}}, {"mask": "none"}],
    ids=str,
)
def test_a_mistake_that_no_import_mends_is_said_before_any(change, folder):
    write(folder / "recipe.yaml", {**tiny(imports=["strange"], task={"kind": "strangest"}), **change})
    with pytest.raises(RecipeError):
        load_recipe("recipe.yaml")
    assert not (folder.parent / "executed").exists()


RECORDS = {
    "another": lambda digest: {"strange": "0" * 16},
    "none": lambda digest: {},
    "of another module": lambda digest: {"other": digest},
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_record_imports_no_other_module_than_the_recorded_one(record, folder, monkeypatch):
    config = tiny(imports=["strange"])
    monkeypatch.syspath_prepend(folder)
    digest = source_digest("strange")
    with pytest.raises(
        RecipeError, match=f"'strange' .*strange.py. is not the module that the run .*{ALLOWED}=strange"
    ):
        validate(config, "run/recipe.yaml", recorded_code=record(digest))
    assert not (folder.parent / "executed").exists()
    monkeypatch.setenv(ALLOWED, "strange")
    validate(config, "run/recipe.yaml", recorded_code=record(digest))
    assert (folder.parent / "executed").exists()


def test_a_record_imports_the_recorded_module(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    validate(tiny(imports=["strange"]), "run/recipe.yaml", recorded_code={"strange": source_digest("strange")})
    assert (folder.parent / "executed").exists()


def test_depth_and_compare_refuse_a_run_whose_module_is_not_recorded(folder):
    for arguments in (["depth", "run"], ["measure", "run"], ["compare", "run", "run"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2, result.output
        assert not (folder.parent / "executed").exists()
    assert str(folder) not in sys.path, "or what libraries look for in vain would be found there"


def test_bytecode_beside_a_module_is_not_executed_in_its_stead(folder):
    """It need not be of the source that is there, which is what has been read, and hashed."""
    import importlib.util
    import marshal
    import struct

    (folder / "strange.py").write_text("X = 1\n")
    status = (folder / "strange.py").stat()
    code = compile(marking(folder.parent / "executed"), "strange.py", "exec")
    cached = folder / importlib.util.cache_from_source("strange.py")
    cached.parent.mkdir()
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(status.st_mtime), status.st_size)
    cached.write_bytes(head + marshal.dumps(code))
    assert load_recipe("recipe.yaml").name == "gated_loop"
    assert sys.modules["strange"].X == 1 and not (folder.parent / "executed").exists()


CALLED = {
    "a command": {"path": "os.system", "command": "touch {marker}"},
    "a file": {"path": "builtins.open", "file": "{marker}", "mode": "w"},
    "a process": {"path": "subprocess.Popen", "args": ["touch", "{marker}"]},
    "a folder": {"path": "pathlib.Path.mkdir", "self": "{marker}"},
    "a store": {"path": "optuna.storages.RDBStorage", "url": "sqlite:///{marker}"},
}


@pytest.mark.parametrize("where", ["itself", "an argument", "a list of an argument"])
@pytest.mark.parametrize("called", CALLED.values(), ids=CALLED)
def test_a_space_has_nothing_called_but_samplers_pruners_and_their_parts(called, where, tmp_path):
    marker = tmp_path / "executed"
    put = json.loads(json.dumps({"kind": "import", **called}).replace("{marker}", str(marker)))
    outer = {"kind": "import", "path": "optuna.samplers.TPESampler"}
    written = {
        "itself": put,
        "an argument": {**outer, "gamma": put},
        "a list of an argument": {**outer, "weights": [put]},
    }
    with pytest.raises(ValueError):
        read_sampler(written[where])
    assert not marker.exists()


def test_to_look_imports_no_sampler_either(folder):
    with imports_as_before():
        withhold_imports()
        with pytest.raises(ValueError, match="strange is not imported"):
            read_sampler({"kind": "import", "path": "strange.Sampler"})
    assert "strange" not in sys.modules
