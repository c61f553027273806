"""A sweep that is planned, run and fitted by one command."""

import json

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app

COMMAND = [
    "worth", "gated_loop", "training.batch_size=4", "training.validate_every=1000", "training.schedule.warmup_steps=2",
    "task.validation_size=16", "task.test_size=16", "training.num_threads=1", "measures=[]",
    "monitor.measures=[]",
    "--widths", "16,24", "--loops", "1,2", "--steps", "4,8", "--workers", "1",
]  # fmt: skip


def trained(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}


@pytest.mark.slow
def test_one_command_and_the_same_again(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    study = tmp_path / "studies/gated_loop-worth"
    result = CliRunner().invoke(app, [*COMMAND, "--seeds", "1"])
    assert result.exit_code == 0, result.output
    assert "8 runs: 8 arms of 1 seed," in result.output and "best trials" not in result.output
    numbers = json.loads((study / "worth.json").read_text())
    assert len(numbers["cells"]) == 8 and {cell["loops"] for cell in numbers["cells"]} == {1, 2}
    assert any(flag.startswith("one seed a cell") for flag in numbers["flags"])
    first = trained(study)
    assert len(first) == 8

    again = CliRunner().invoke(app, [*COMMAND, "--seeds", "1"])
    assert again.exit_code == 0 and trained(study) == first, "nothing is trained twice"
    assert json.loads((study / "worth.json").read_text()) == numbers

    other = CliRunner().invoke(app, [*COMMAND, "--seeds", "2"])
    assert other.exit_code == 2 and "holds runs of another sweep; give this one another --name" in other.output
