"""A secret that is planted in every entrance is found in nothing that was written, logged, sent or shown."""

import json
import os
import sys

import pytest
import yaml
from typer.testing import CliRunner

from mythos_lab.cli import app, arguments
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.compose import as_recorded, validate, written
from mythos_lab.recipe.urls import completed, in_text, recorded, without_password
from mythos_lab.search.engines import local
from mythos_lab.search.engines.base import Job
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.trial_queue import hand_back
from mythos_lab.tracking import mlflow, store, viewing
from tests.lab.search.tiny import FILE, OVERRIDES, work_off
from tests.security import tiny, tree, write

PLANTED = "pl4nted-s3cret"
LOGINS = [f"me:{PLANTED}", PLANTED, f":{PLANTED}", f"me:{PLANTED}@home", f"{PLANTED}:x"]
URLS = [
    f"{scheme}://{login}@host:5000/x" for scheme in ("http", "postgresql+psycopg", "mysql", "grpc") for login in LOGINS
]
URLS += [
    f"postgresql://me:a/{PLANTED}@host/x",
    f"postgresql://host/x?user=me&password={PLANTED}",
    f"https://host/x?token={PLANTED}&a=1",
    f"mssql://host/x?odbc_connect=PWD%3D{PLANTED}",
    f"mysql://me:12/{PLANTED}@host/x",
]
URL = f"http://me:{PLANTED}@127.0.0.1:9/x"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MYTHOS_STORAGE", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize("url", URLS)
def test_no_url_is_shown_or_recorded_with_what_is_secret_in_it(url):
    assert "host" in without_password(url)
    texts = [
        without_password(url),
        recorded({"a": [url]})["a"][0],
        in_text(f"at '{url}': refused"),
        str(RecipeError(url)),
    ]
    assert not [text for text in texts if PLANTED in text]
    assert "refused" in texts[2]


KEPT = [
    "sqlite:////home/me@work/a.db", "sqlite:///a.db?mode=ro", "http://host:5000/a@b", "hf://datasets/a/b@main/c",
    "journal:///a/b@c.log", "databricks://profile", "grpc://host:13000", "https://host/x?page=2", "see https://a.b, or c@d.e",
    "postgresql://me:${oc.env:DB_PASSWORD}@host/x",
]  # fmt: skip


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_login_is_recorded_as_it_is(text):
    assert recorded(text) == text


def test_the_environment_is_named_in_records_and_looked_up_where_a_url_is_opened(here, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", PLANTED)
    named = "postgresql://me:${oc.env:DB_PASSWORD}@host/x"
    recipe = load_recipe("gated_loop", [*OVERRIDES, f"tracking.uri='{named}'"])
    assert recipe.tracking.uri == named and store.place_of(named) == f"postgresql://me:{PLANTED}@host/x"
    assert named in yaml.safe_load(written(recipe))["tracking"]["uri"].replace("\\", "")
    assert validate(yaml.safe_load(written(recipe)), "recipe.yaml") == recipe
    monkeypatch.delenv("DB_PASSWORD")
    with pytest.raises(RecipeError, match="the variable DB_PASSWORD is not set"):
        store.place_of(named)


FIELDS = ["name", "description", "tracking.experiment", "seed", "task.num_nodes", "model.core", "waive", "imports"]


@pytest.mark.parametrize("field", FIELDS)
def test_no_other_field_names_the_environment(field, here, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED)
    content = tiny()
    inner = content
    *above, last = field.split(".")
    for part in above:
        inner = inner[part]
    inner[last] = (
        ["${oc.env:AWS_SECRET_ACCESS_KEY}"] if field in ("waive", "imports") else "${oc.env:AWS_SECRET_ACCESS_KEY}"
    )
    with pytest.raises(RecipeError) as refused:
        load_recipe(str(write(here / "recipe.yaml", content)))
    assert PLANTED not in str(refused.value)


def test_a_login_that_the_environment_has_is_used_for_the_recorded_place(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:pw@host/x")
    assert completed("postgresql://host/x", "MLFLOW_TRACKING_URI") == "postgresql://me:pw@host/x"
    for other in ("postgresql://evil/x", "postgresql://you:other@host/x", "postgresql://host/y"):
        assert completed(other, "MLFLOW_TRACKING_URI") == other


def test_a_servers_login_is_said_to_mlflow_apart_from_its_url(here):
    assert store.place_of("http://me:p%40w@host:5000/x") == "http://host:5000/x"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", "p@w")


SHOWN = {
    "an override": ["cost", "gated_loop", f"tracking.uri={URL}", "--json"],
    "a field that there is not": ["cost", "gated_loop", f"tracking.urii={URL}"],
    "a field of another type": ["cost", "gated_loop", f"seed={URL}"],
    "a recipe": ["cost", URL],
    "the recipe of a file": ["cost", "wrong.yaml"],
    "a space": ["study", "space.yaml"],
    "a storage": ["study", "space.yaml", "--storage", f"oracle://me:{PLANTED}@host/x"],
    "the store that is looked at": ["ui", "--store", URL],
    "the proxy's database": ["proxy", "--storage", f"grpc://me:{PLANTED}@host:1"],
    "the proxy's other database": ["proxy", "--storage", f"oracle://me:{PLANTED}@host:1"],
    "a run": ["depth", URL],
    "runs": ["compare", URL, URL],
}


@pytest.mark.parametrize("typed", SHOWN.values(), ids=SHOWN)
def test_no_verb_shows_or_writes_it(typed, here):
    write(here / "wrong.yaml", {"name": URL, "tracking": {"uri": [URL], "at": URL}})
    write(here / "space.yaml", {**FILE, "space": {"seed": {"int": [0, 1]}}, "storage": f"oracle://me:{PLANTED}@host/x"})
    before = tree(here)
    result = CliRunner().invoke(app, typed)
    assert PLANTED not in result.output + result.stderr + str(result.exception)
    assert not [name for name, content in tree(here).items() if PLANTED.encode() in content and name not in before]


def test_a_run_and_its_study_record_it_nowhere(here, monkeypatch, capfd):
    """Recipe, parameters and tags of MLflow, journal, card, the copy of the space: by what a whole study writes."""
    opened = f"sqlite:///{here}/runs.db"
    for module in (store, mlflow):
        monkeypatch.setattr(module, "place_of", lambda uri: opened)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URL)  # a space alone would not choose a server
    described = f"data from https://me:{PLANTED}@host/x"
    write(
        here / "given" / "space.yaml",
        {
            **FILE,
            "description": described,
            "overrides": [*OVERRIDES, f"tracking.uri='{URL}'", f"description='{described}'"],
            "arms": {"a": {}, "b": {"training.optimizer.lr": 0.002}},
            "storage": None,
        },
    )
    space = load_space(str(here / "given" / "space.yaml"))
    study = work_off(space)
    from mythos_lab.comparison.conclude import recorded as conclude
    from mythos_lab.search.parent_run import parent_run

    parent_run(space, study).finish("FINISHED")
    conclude(space, study, 1.0)
    hand_back(study, study.ask(), f"MlflowException: API request to {URL} failed")
    said = capfd.readouterr()
    assert PLANTED not in said.out + said.err
    files = {name: content for name, content in tree(here).items() if not name.startswith("given")}
    assert {"space.yaml", "recipe.yaml", "journal.log", "runs.db"} <= {os.path.basename(name) for name in files}
    assert not [name for name, content in files.items() if PLANTED.encode() in content]


def test_what_is_written_for_the_user_to_go_on_with_has_none_either():
    recipe = load_recipe("gated_loop", [*OVERRIDES, f"tracking.uri='{URL}'"])
    assert recipe.tracking.uri == URL, "by which it is opened"
    assert PLANTED not in written(recipe) + json.dumps(as_recorded(recipe))
    assert as_recorded(validate(yaml.safe_load(written(recipe)), "recipe.yaml")) == as_recorded(recipe), "it resumes"


@pytest.mark.parametrize("url", [URL, f"postgresql://me:a {PLANTED}@host/x", f"grpc://:{PLANTED}@host:1"])
def test_a_command_is_not_listed_with_it(url, monkeypatch):
    """By ps, that is: what was typed goes on in the environment, which its user alone can read."""
    started = []
    monkeypatch.setattr(os, "execve", lambda *given: started.append(given))
    typed = ["train", "x", f"tracking.uri={url}", "--storage", url]
    monkeypatch.setattr(sys, "argv", ["mythos", *typed])
    arguments.hide_logins()
    [(program, command, environment)] = started
    assert (
        program == sys.executable and PLANTED not in " ".join(command) and command[-1].endswith(without_password(url))
    )
    monkeypatch.setattr(sys, "argv", command[4:])
    monkeypatch.setenv(arguments._VARIABLE, environment[arguments._VARIABLE])
    arguments.hide_logins()
    assert sys.argv[1:] == typed and arguments._VARIABLE not in os.environ and len(started) == 1


def test_mlflows_server_is_not_listed_with_it(here, monkeypatch):
    monkeypatch.setattr(viewing, "check_store", lambda uri: None)
    url = f"postgresql://me:{PLANTED}@host/x"
    command, environment = viewing.server(url, 5999)
    assert PLANTED not in " ".join(command) and environment["MLFLOW_BACKEND_STORE_URI"] == url


def test_a_worker_is_not_listed_with_it(here, monkeypatch):
    write(here / "space.yaml", {**FILE, "space": {"seed": {"int": [0, 1]}}})
    space = load_space(str(here / "space.yaml"), storage=f"postgresql://me:{PLANTED}@host/x")
    space.folder.mkdir(parents=True)
    started = []
    monkeypatch.setattr(local.subprocess, "Popen", lambda command, **options: started.append((command, options["env"])))
    local.Local(Job(space, None, 1, 1))._start(0)
    [(command, environment)] = started
    assert PLANTED not in " ".join(command) and PLANTED in environment["MYTHOS_STORAGE"]
    assert "-P" in command and environment["PYTHONSAFEPATH"] == "1"
