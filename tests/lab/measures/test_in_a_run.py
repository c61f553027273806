"""Measures of a run: by its recipe, by the verb, by one's own package."""

import csv

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

import mythos_blocks as mb
from mythos_lab.cli import app
from mythos_lab.measures import Measure, Value
from mythos_lab.metrics import Metric
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.report.result import run_report
from mythos_lab.training.measuring import untracked
from mythos_lab.training.result import read_result
from mythos_lab.training.run import run
from tests.lab.training.runs import SMALL

mb.load_plugins()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def halves():
    """A measure of somebody's own."""

    @mb.component("measure", "halves")
    class Halves(Measure):
        """A half of each loop."""

        quantities = {"mine/half": Metric("loops", "Half a loop."), "mine/bias": Metric("1", "As declared.")}
        source = null = deceives = "none"

        def __init__(self, *, bias: float = 0.0) -> None:
            self.bias = bias

        def refuses(self, subject):
            return "it has few loops" if subject.num_loops < 3 else None

        def measure(self, subject):
            loops = [Value("mine/half", t / 2, t) for t in range(1, subject.num_loops + 1)]
            return self.outcome("halves", Value("mine/bias", self.bias), *loops)


def table(folder):
    with (folder / "measures.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_is_measured_as_its_recipe_says_and_again_by_the_verb(halves):
    recipe = load_recipe("gated_loop", [*SMALL, "measures=[loop_verdict, {kind: halves, bias: 3.0}]"])
    result = run(recipe)
    client = MlflowClient()
    used = result.metrics["loops/used"]
    assert 1 <= result.metrics["loops/distinct"] <= used <= 4 and result.metrics["mine/bias"] == 3
    assert client.get_run(result.run_id).data.metrics["loops/used"] == used
    history = client.get_metric_history(result.run_id, "mine/half")
    assert [(m.step, m.value) for m in history] == [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)]
    assert (result.folder / "loops_halves.png").is_file() and not (result.folder / "loops_loop_verdict.png").exists()
    assert "loops_halves.png" in {file.path for file in client.list_artifacts(result.run_id)}
    rows = table(result.folder)
    assert {row["measure"] for row in rows} == {"loop_verdict", "halves"}
    assert [row["value"] for row in rows if row["quantity"] == "loops/used"] == [str(used)]
    said = {outcome.kind: outcome.finding for outcome in result.outcomes}
    assert read_result(result.folder)["findings"] == said
    assert any(said["loop_verdict"] in getattr(part, "text", "") for part in run_report(result).parts)
    again = CliRunner().invoke(app, ["measure", str(result.folder), "halves", "--json"])
    assert again.exit_code == 0, again.output
    assert [r["value"] for r in table(result.folder) if r["quantity"] == "mine/bias"] == ["0.0"]
    assert len(table(result.folder)) == len(rows), "what is measured again takes the place of what was there"
    assert client.get_run(result.run_id).info.status == "FINISHED"
    victim = result.folder / "victim"
    victim.write_bytes(b"\xff,not,a\ntable")
    (result.folder / "measures.csv").unlink()
    (result.folder / "measures.csv").symlink_to(victim)
    assert CliRunner().invoke(app, ["measure", str(result.folder), "halves"]).exit_code == 0
    assert victim.read_bytes() == b"\xff,not,a\ntable"
    assert {row["measure"] for row in table(result.folder)} == {"halves"}
    missing = CliRunner().invoke(app, ["measure", str(result.folder), "half"])
    assert missing.exit_code == 2 and "did you mean 'halves'" in missing.output


@pytest.mark.parametrize(
    "measures, said",
    [
        ("[loop_verdit]", "unknown measure 'loop_verdit'; did you mean 'loop_verdict'?"),
        ("[{kind: loop_verdict, delta: 2}]", "delta"),
        ("[halves]", "measures.0: halves: it has few loops"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_trains(measures, said, halves, tmp_path):
    with pytest.raises(RecipeError, match=said.replace("?", r"\?")):
        run(load_recipe("gated_loop", [*SMALL, "model.core.loops={kind: fixed, num_loops: 2}", f"measures={measures}"]))
    assert not (tmp_path / "runs").exists()


def test_a_record_alone_chooses_no_tracker(tmp_path, monkeypatch):
    recipe, uri = load_recipe("gated_loop"), "http://127.0.0.1:9"
    recorded = recipe.model_copy(update={"tracking": recipe.tracking.model_copy(update={"uri": uri})})
    assert untracked(recipe, tmp_path) is None and "tracking.uri: http://127.0.0.1:9" in untracked(recorded, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert untracked(recorded, tmp_path) is None
