"""What a recipe imports has a hash that follows its source, and that of whatever it imports beside it."""

import importlib
import io
import sys
import zipfile
from types import SimpleNamespace

import pytest

from mythos_lab.recipe import code
from mythos_lab.recipe.code import LEFT_OUT, archive, changes, imported_code
from mythos_lab.recipe.compose import load_recipe

FILES = {
    "mine_alone.py": "VALUE = 1\n",
    "mine_with.py": "import json\n\ndef late():\n    from mine_beside.deep import part\n",
    "mine_beside/__init__.py": "",
    "mine_beside/deep/__init__.py": "",
    "mine_beside/deep/part.py": "VALUE = 1\n",
    "mine_beside/other.py": "import mine_alone\n",
}
BEHIND = {
    "mine_alone": {"mine_alone.py"},
    "mine_with": set(FILES),
    "mine_beside.deep": set(FILES) - {"mine_with.py"},
}
"""Files that decide each module's hash."""


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    forget()


def forget():
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def hashed(name):
    """As a new process would import it."""
    forget()
    importlib.import_module(name)
    return imported_code([name])[name]


@pytest.mark.parametrize("edited", FILES)
@pytest.mark.parametrize("name", BEHIND)
def test_a_hash_follows_every_file_behind_a_module_and_no_other(name, edited, tmp_path):
    before = hashed(name)
    assert hashed(name) == before and len(before) == 16
    (tmp_path / edited).write_text(FILES[edited] + "# edited\n")
    assert (hashed(name) != before) == (edited in BEHIND[name])


def test_what_is_edited_after_it_was_imported_is_not_what_runs(tmp_path):
    before = hashed("mine_alone")
    (tmp_path / "mine_alone.py").write_text("VALUE = 2\n")
    assert imported_code(["mine_alone"])["mine_alone"] == before


def test_a_recipe_s_modules_have_the_hash_that_they_had_when_it_was_read(tmp_path):
    load_recipe("looped", ["imports=[mine_alone]"])
    (tmp_path / "mine_alone.py").write_text("VALUE = 2\n")
    before = imported_code(["mine_alone"])["mine_alone"]
    assert hashed("mine_alone") != before


def test_installed_plugins_are_hashed_and_our_own_packages_are_not(monkeypatch):
    importlib.import_module("mine_alone")
    entries = [SimpleNamespace(module="mine_alone"), SimpleNamespace(module="mythos_lab.components")]
    monkeypatch.setattr(code, "entry_points", lambda group: entries)
    assert set(imported_code(["mythos_lab.tasks"])) == {"mine_alone"}


@pytest.fixture
def plugin(monkeypatch):
    """``mine_beside`` as an installed plug-in, which needs ``mine_alone``."""
    importlib.import_module("mine_beside.deep")
    monkeypatch.setattr(code, "entry_points", lambda group: [SimpleNamespace(module="mine_beside.deep")])
    monkeypatch.setattr(code, "_is_installed", lambda path: True)


def kept(imports=()):
    content = archive(imports)
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def test_the_source_of_a_plugin_is_kept_and_of_all_else_that_is_installed_none(plugin, tmp_path):
    importlib.import_module("mine_alone")
    assert kept(["mine_alone"]) == {name: FILES[name] for name in BEHIND["mine_beside.deep"] if "beside" in name}


def test_nothing_but_plain_source_within_the_package_is_kept_and_what_is_too_large_is_named(
    plugin, tmp_path, monkeypatch
):
    (tmp_path / "secrets.py").write_text("TOKEN = 1\n")
    package = tmp_path / "mine_beside"
    for name in (".git/hook.py", ".hidden.py", "deep/token.txt", "deep/.env"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("TOKEN = 1\n")
    (package / "link.py").symlink_to(tmp_path / "secrets.py")
    (package / "large.py").write_text("#" * 600)
    (package / "z.py").write_text("#" * 300)
    monkeypatch.setattr(code, "_MAX_SOURCE", 500)
    monkeypatch.setattr(code, "_MAX_ARCHIVE", 250)
    found = kept()
    left = found.pop(LEFT_OUT)
    assert left == "mine_beside/large.py: 600 bytes, too large\nmine_beside/z.py: 300 bytes, beyond 8 MiB in all\n"
    assert set(found) == {name for name in FILES if name.startswith("mine_beside")}


def test_what_changed_is_said_module_by_module():
    assert changes({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == [
        "imports: the source of 'b' has changed since: was 2, is 3",
        "imports: the source of 'c' has changed since: was not there, is 4",
    ]
