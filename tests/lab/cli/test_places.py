"""A place that cannot be written to is one line before anything is trained."""

import pytest
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


@pytest.mark.parametrize(
    "store", ["/proc/nope", "/dev/null", "sqlite:////proc/nope/mlflow.db", "sqlite:////dev/null", "nosuch://place"]
)
@pytest.mark.parametrize("verb", ["train", "ui"])
def test_a_store_that_cannot_be_opened_is_one_line_and_nothing_is_done(lab, monkeypatch, verb, store):
    monkeypatch.setattr("mythos_lab.training.run.fit", lambda *_, **__: pytest.fail("it trains"))
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("it starts a server"))
    there = contents(lab)
    arguments = ["--store", store] if verb == "ui" else [*dict(WRITES)["train"][0][1], f"tracking.uri={store}"]
    result = CliRunner().invoke(app, [verb, *arguments])
    assert result.exit_code == 2, (result.output, repr(result.exception))
    assert len(result.stderr.strip().splitlines()) == 1 and store in result.stderr, result.stderr
    assert contents(lab) == there
