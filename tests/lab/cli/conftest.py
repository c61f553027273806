"""One small study and one stopped run, made once; whoever changes a file of theirs puts it back."""

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe import load_recipe
from mythos_lab.training.run import Stopped, run
from tests.lab.search import tiny
from tests.lab.search.conftest import quiet

STOPPED = [*tiny.OVERRIDES, "seed=7"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A study of two arms with two seeds each, finished, and a run that was stopped after two of four steps."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        quiet(root, patch)
        space = tiny.write(root, arms={"full": {}, "deep": {"model.core.depth": 2}}, seeds=2)
        tiny.work_off(space)
        assert CliRunner().invoke(app, ["study", "tiny.yaml"]).exit_code == 0
        calls = iter([False, True])
        with pytest.raises(Stopped):
            run(load_recipe("gated_loop", STOPPED), folder=root / "stopped", should_stop=lambda: next(calls))
    return root


@pytest.fixture
def lab(trained, monkeypatch):
    """The same as the working directory."""
    quiet(trained, monkeypatch)
    return trained
