"""A place that cannot be written to is one line before anything is trained."""

import pytest
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from mythos_lab.cli import app
from tests.lab.cli.test_damaged import contents
from tests.lab.cli.verbs import WRITES, names

CASES = [(verb, *place) for verb, places in WRITES.items() for place in places]


def test_every_verb_says_where_it_writes():
    assert set(WRITES) == names()


@pytest.mark.parametrize("verb, place, arguments", CASES, ids=[f"{verb}-{place}" for verb, place, _ in CASES])
def test_a_place_that_refuses_is_one_line_and_nothing_is_done(lab, monkeypatch, verb, place, arguments):
    """A folder on /proc refuses root too."""
    moved = lab / f"{place.replace('/', '-')}-elsewhere"
    if (lab / place).exists():
        (lab / place).rename(moved)
    (lab / place).symlink_to("/proc/self/net")
    try:
        monkeypatch.setattr("mythos_lab.training.run.fit", lambda *_, **__: pytest.fail("it trains"))
        if verb == "depth":
            monkeypatch.setattr("mythos_lab.training.result.load_run", lambda folder: (None, None, None))
        there = contents(lab)
        result = CliRunner().invoke(app, [verb, *arguments])
        assert result.exit_code == 2, (result.output, repr(result.exception))
        assert len(result.stderr.strip().splitlines()) == 1 and place in result.stderr, result.stderr
        assert not result.stdout and contents(lab) == there
    finally:
        (lab / place).unlink()
        if moved.exists():
            moved.rename(lab / place)


def test_a_server_that_does_not_answer_is_one_line_and_a_status_of_its_own(lab, monkeypatch):
    def refused(*_, **__):
        raise MlflowException("connection to server at postgresql://me:secret@nowhere/x failed:\n\tConnection refused")

    monkeypatch.setattr("mythos_lab.tracking.store.MlflowClient", refused)  # which tries for two minutes
    monkeypatch.setattr("mythos_lab.training.run.fit", lambda *_, **__: pytest.fail("it trains"))
    store = "postgresql://me:secret@nowhere/x"
    for verb, arguments in (("train", [*WRITES["train"][0][1], f"tracking.uri='{store}'"]), ("ui", ["--store", store])):
        result = CliRunner().invoke(app, [verb, *arguments])
        assert result.exit_code == 1, (result.output, repr(result.exception))
        assert len(result.stderr.strip().splitlines()) == 1 and "secret" not in result.stderr


def test_ui_names_the_stores_of_runs_that_were_tracked_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/recipe.yaml").write_text("tracking: {uri: 'sqlite:////data/mine.db'}")
    result = CliRunner().invoke(app, ["ui"])
    assert result.exit_code == 2 and "mythos ui --store sqlite:////data/mine.db" in result.stderr
    result = CliRunner().invoke(app, ["ui", "--store", "http://tracker:5000"])
    assert (
        result.exit_code == 2 and "http://tracker:5000: is a server of its own; open it in a browser" in result.stderr
    )


@pytest.mark.parametrize(
    "store", ["/proc/nope", "/dev/null", "sqlite:////proc/nope/mlflow.db", "sqlite:////dev/null", "nosuch://place"]
)
@pytest.mark.parametrize("verb", ["train", "ui"])
def test_a_store_that_cannot_be_opened_is_one_line_and_nothing_is_done(lab, monkeypatch, verb, store):
    monkeypatch.setattr("mythos_lab.training.run.fit", lambda *_, **__: pytest.fail("it trains"))
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("it starts a server"))
    there = contents(lab)
    arguments = ["--store", store] if verb == "ui" else [*WRITES["train"][0][1], f"tracking.uri={store}"]
    result = CliRunner().invoke(app, [verb, *arguments])
    assert result.exit_code == 2, (result.output, repr(result.exception))
    named = store.removeprefix("sqlite:///")
    assert len(result.stderr.strip().splitlines()) == 1 and named in result.stderr, result.stderr
    assert contents(lab) == there
