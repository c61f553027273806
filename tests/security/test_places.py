"""Data chooses no place: every name, path, link and store of others stays in its folder or is refused in one line."""

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter, ValidationError

from mythos_blocks.checkpoints.outputs import whole
from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.outputs import open_log, write_whole
from mythos_lab.recipe.places import Name, check_name, check_own_folder, inside
from mythos_lab.recipe.stores import check_tracker
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_folder import folder_of, run_folder
from mythos_lab.tracking.claim import claimed
from mythos_lab.tracking.ours import check_artifacts, check_ours, clear_artifact

NO_NAMES = ["", ".", "..", "../x", "/x", "a/b", ".hidden", "a\n", "a\0b", "~", "a b", "$HOME", "\u202ex", "x" * 101]


@pytest.mark.parametrize("text", NO_NAMES)
def test_a_name_has_one_form_in_files_and_on_the_command_line(text):
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(text)
    with pytest.raises(RecipeError) as caught:
        check_name(text, "--name")
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize("text", ["quickstart", "openmythos-ablation", "-halting", "+lti", "a..b", "Versuch_3.1"])
def test_names_that_we_make_are_names(text):
    assert TypeAdapter(Name).validate_python(text) == check_name(text, "name") == text


@pytest.mark.parametrize("said", [*NO_NAMES[:3], "/etc", "trials/../../x", "trials//0", "trials/.ssh", 3, None, ["a"]])
def test_a_trials_folder_that_the_store_names_is_below_the_studys(tmp_path, said):
    space = SimpleNamespace(folder=tmp_path, source="space.yaml")
    trial = SimpleNamespace(number=7, user_attrs={"folder": said})
    for asked in (lambda: folder_of(space, trial), lambda: run_folder(space, trial, 0)):
        with pytest.raises(RecipeError, match="trial 7"):
            asked()


@pytest.mark.parametrize("linked", ["trials", "trials/0001", "trials/0001/seed-0"])
def test_no_link_leads_a_run_out_of_the_studys_folder(tmp_path, linked):
    study, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (study / linked).parent.mkdir(parents=True)
    (study / linked).symlink_to(elsewhere)
    space = SimpleNamespace(folder=study, source="space.yaml")
    with pytest.raises(RecipeError, match="by a link"):
        run_folder(space, SimpleNamespace(number=1, user_attrs={"folder": "trials/0001"}), 0)
    assert inside(study, "other/0002", "trial 2") == study / "other/0002"


def test_a_folder_that_is_a_link_to_others_files_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "theirs")
    check_own_folder(tmp_path / "mine", "study.json")  # a link to a disk with more room
    (tmp_path / "theirs/thesis.tex").write_text("x")
    with pytest.raises(RecipeError, match="is a link"):
        check_own_folder(tmp_path / "mine", "study.json")
    (tmp_path / "theirs/study.json").write_text("{}")
    check_own_folder(tmp_path / "mine", "study.json")


def _figure(path):
    from mythos_lab.report.verdicts import verdict_figure

    verdict_figure({"a": (0.1, 0.0, 0.2)}, 0.01, "val/loss", "full", path)


def _lock(path):
    with claimed(path):
        pass


def _log(path):
    with open_log(path, anew=True) as log:
        log.write(b"said")


WRITERS = {"a document": lambda path: write_whole(path, "new"), "a figure": _figure, "a lock": _lock, "a log": _log}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("hard", [False, True])
def test_nothing_is_written_through_a_link(tmp_path, writer, hard):
    victim, path = tmp_path / "victim", tmp_path / "out.png"
    victim.write_text("as it was")
    os.link(victim, path) if hard else path.symlink_to(victim)
    try:
        WRITERS[writer](path)
    except RecipeError as error:
        assert "is a link" in str(error)
    else:
        assert not path.is_symlink()
    assert victim.read_text() == "as it was"


def test_an_output_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "a") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "before"}


def test_output_is_written_by_the_functions_that_follow_no_link():
    """``open`` for writing, ``write_text`` and their like stand where those functions are, in the user's cache and in the journal."""
    pattern = r"write_text\(|write_bytes\(|savefig\(path|copyfile\(|\.open\(\"[wax]|open\([^)]*\"[wax]b?\"|\.touch\("
    found = subprocess.run(
        ["grep", "-rnE", pattern, "mythos_lab", "blocks/mythos_blocks", "--include=*.py"],
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    homes = (
        "mythos_lab/recipe/outputs.py",
        "mythos_lab/tasks/text/cache.py",
        "mythos_lab/tasks/text/corpus.py",
        "mythos_lab/search/journal.py",
        "mythos_lab/search/engines/carrying.py",  # into a temporary folder that it has just made
    )
    assert [line for line in found if not line.startswith(homes) and "partial" not in line] == []


def _other_program(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE studies (id INTEGER, patient TEXT)")
        database.execute("CREATE TABLE tags (name TEXT)")
    return path


@pytest.mark.parametrize("kind", ["database", "text", "empty lines", "pipe", "folder"])
def test_a_store_that_is_anothers_is_refused_and_stays_as_it_was(tmp_path, kind):
    path = tmp_path / "theirs.db"
    if kind == "database":
        _other_program(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("x")
    else:
        path.write_text("alias ls='ls -l'\n" if kind == "text" else "\n\n")
    before = path.read_bytes() if path.is_file() else sorted(tmp_path.rglob("*"))
    for url in (f"sqlite:///{path}", f"journal://{path}"):
        with pytest.raises(RecipeError) as caught:
            open_storage(url, tmp_path)
        assert len(caught.value.lines) == 1
    for uri in (f"sqlite:///{path}", f"sqlite+pysqlite:///{path}", f"file:{path}"):
        with pytest.raises(RecipeError) as caught:
            check_ours(uri)
        assert len(caught.value.lines) == 1
    assert before == (path.read_bytes() if path.is_file() else sorted(tmp_path.rglob("*")))


def test_a_store_of_ours_is_gone_on_with(tmp_path):
    for url in (None, f"journal://{tmp_path}/mine.log", f"sqlite:///{tmp_path}/mine.db"):
        assert open_storage(url, tmp_path).get_all_studies() == open_storage(url, tmp_path).get_all_studies() == []


def test_a_studys_journal_is_in_its_folder(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study/journal.log").symlink_to(tmp_path / "elsewhere.log")
    with pytest.raises(RecipeError, match="is a link"):
        open_storage(None, tmp_path / "study")
    assert not (tmp_path / "elsewhere.log").exists()


ELSEWHERE = [
    "sqlite:////tmp/x.db", "sqlite:///../x.db", "sqlite:///.x.db", "sqlite:///.git/x.db", "sqlite:///Makefile",
    "sqlite:///a%2e%2e/x.db", "sqlite:///x.db?mode=rwc", "sqlite:///file:x.db", "sqlite:///link/x.db", "sqlite:///conftest.py",
    "journal:////home/me/.bash_aliases", "journal://.envrc", "journal://../x.log", "journal://link/x.log",
    "postgresql+psycopg://evil/x", "mysql+pymysql://evil/x", "grpc://evil:13000", "http://evil:5000", "https://evil",
    "databricks", "file:///tmp", "s3://evil/x", "unknown:x", "/tmp/x", "../x",
]  # fmt: skip


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    folder = tmp_path / "downloaded"
    (tmp_path / "outside").mkdir()
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_TRACKING_URI", "MYTHOS_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_file_alone_chooses_no_store_elsewhere(strangers, url, monkeypatch):
    before = sorted(strangers.parent.rglob("*"))
    with pytest.raises(RecipeError, match="does not choose such a place") as caught:
        check_tracker(url, [], [strangers], "recipe.yaml")
    assert len(caught.value.lines) == 1
    check_tracker(url, [url], [strangers], "recipe.yaml")  # the command line says the same
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    check_tracker(url, [], [strangers], "recipe.yaml")
    assert sorted(strangers.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "url", ["sqlite:///mine.db", "sqlite:///stores/mine.sqlite3", "journal://mine.log", "file:mlruns"]
)
def test_a_file_chooses_a_store_in_its_folder(strangers, url):
    check_tracker(url, [], [strangers], "recipe.yaml")


@pytest.mark.parametrize("url", ["journal:////tmp/x/.bash_aliases", "grpc://evil:13000"])
def test_a_space_that_chooses_a_storage_elsewhere_is_refused_before_anything_is_read(strangers, url, monkeypatch):
    space = {"name": "s", "recipe": "looped", "space": {"training.optimizer.lr": {"float": [1e-4, 1e-2]}}}
    content = {**space, "objectives": {"val/loss": "minimize"}, "storage": url}
    Path("space.yaml").write_text(json.dumps(content))
    with pytest.raises(RecipeError, match="does not choose such a place"):
        load_space("space.yaml")
    assert load_space("space.yaml", storage=url).storage == url
    monkeypatch.setenv("MYTHOS_STORAGE", url)
    assert load_space("space.yaml").storage == url


@pytest.mark.parametrize(
    "store, place",
    [
        ("sqlite:////data/mlflow.db", "file:///home/me/.config/autostart"),
        ("sqlite:////data/mlflow.db", "/data/../etc"),
        ("sqlite:////data/mlflow.db", "file:///data/mlruns/%252e%252e/%252e%252e/etc"),
        ("sqlite:////data/mlflow.db", "s3://evil/x"),
        ("sqlite:////data/mlflow.db", "http://evil/x"),
        ("http://mlflow:5000", "file:///home/me/.ssh"),
        ("http://mlflow:5000", "mlflow-artifacts://evil/1"),
    ],
)
def test_a_tracker_does_not_say_where_artifacts_are_written(store, place, monkeypatch):
    monkeypatch.delenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", raising=False)
    with pytest.raises(RecipeError, match="elsewhere"):
        check_artifacts(store, place)
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", place)
    check_artifacts(store, f"{place}/1/artifacts")


@pytest.mark.parametrize(
    "store, place",
    [
        ("sqlite:////data/mlflow.db", "file:///data/mlruns/my%20experiment/1/artifacts"),
        ("http://mlflow:5000", "mlflow-artifacts:/1/2/artifacts"),
        ("http://mlflow:5000", "s3://department/mlflow/1"),
    ],
)
def test_artifacts_beside_a_store_or_where_a_named_server_has_them_are_written(store, place):
    check_artifacts(store, place)


@pytest.mark.parametrize("folder", ["", "figures/"])
def test_no_artifact_is_copied_to_where_a_link_leads(tmp_path, folder):
    place, victim = tmp_path / "artifacts", tmp_path / "victim"
    (place / folder).mkdir(parents=True)
    victim.write_text("as it was")
    (place / folder / "recipe.yaml").symlink_to(victim)
    clear_artifact(place.as_uri(), f"{folder}recipe.yaml")
    assert not (place / folder / "recipe.yaml").is_symlink() and victim.read_text() == "as it was"
    (place / "out").symlink_to(tmp_path)
    with pytest.raises(RecipeError, match="by a link"):
        clear_artifact(place.as_uri(), "out/victim")
