"""Necessary depth planned, trained and judged by one command."""

import csv
import json

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.documents import read_document
from mythos_lab.training.result import read_result

COMMAND = [
    "necessary", "gated_loop", "training.batch_size=4", "training.max_steps=3", "training.schedule.warmup_steps=1",
    "task.validation_size=16", "task.test_size=16", "training.num_threads=1", "measures=[]", "model.width=16",
    "--depths", "1,2", "--seeds", "2", "--hold", "none", "--declare", "training FLOPs", "--json",
]  # fmt: skip


@pytest.mark.slow
def test_one_command_and_the_same_again(tmp_path):
    folder = tmp_path / "studies/gated_loop-necessary"
    result = CliRunner().invoke(app, COMMAND)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["seeds"] == [0, 1] and told["delta"] == 0.01 and "not enough seeds" in told["finding"]
    assert [row["trained"] for row in told["matrix"]] == [1, 2]

    rows = list(csv.DictReader((folder / "necessary.csv").read_text().splitlines()))
    assert len(rows) == 2 * 2 * 2
    arms = list(read_document(tmp_path / "studies/gated_loop-necessary.yaml")["arms"])
    for row in rows:
        run = folder / f"trials/{arms.index('depth-' + row['trained_at']):04d}/seed-{row['seed']}"
        curve = {each["loops"]: each["accuracy"] for each in read_result(run)["depth_curve"]}
        assert float(row["val/accuracy"]) == curve[int(row["evaluated_at"])]
    card = (folder / "necessary.md").read_text()
    assert told["finding"] in card and "necessary.png" in card
    assert (folder / "necessary.png").read_bytes().startswith(b"\x89PNG") and (folder / "card.md").is_file()

    trained = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
    assert len(trained) == 4
    again = CliRunner().invoke(app, COMMAND)
    assert again.exit_code == 0 and json.loads(again.stdout) == told
    assert trained == {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}, "nothing trains twice"
