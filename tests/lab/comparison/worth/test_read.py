"""From folders of runs to cells, and to what the command prints and writes."""

import json
import shutil

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.worth import gather, measure, plan
from mythos_lab.comparison.worth.arms import applied
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.training.result import write_recipe, write_state, write_values
from tests.lab.training.sealing import edit as change

PHI = 0.46


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Runs of a sweep as a study leaves them, with losses of a law whose phi is known."""
    place = tmp_path_factory.mktemp("sweep")
    sweep = plan("gated_loop", widths=[48, 64, 96], loops=[1, 2, 4], steps=[60, 240, 960])
    base = load_recipe("gated_loop").model_dump(mode="json")
    rng = np.random.default_rng(0)
    for number, (name, arm) in enumerate(sweep.arms.items()):
        size = arm.num_once + arm.loops**PHI * arm.num_rec
        loss = 1.0 + 20 * size**-0.34 + 20 * arm.tokens**-0.28
        for seed in range(3):
            folder = place / f"trials/{number:04d}/seed-{seed}"
            folder.mkdir(parents=True)
            recipe = applied(base, {**arm.changes, "seed": seed, "name": f"{name}-{seed}"}, name)
            key = f"{number}-{seed}"
            write_state(folder, {"key": key})
            write_recipe(recipe, folder, key)
            result = {"status": "finished", "metrics": {"val/loss": loss * np.exp(0.003 * rng.normal())}}
            write_values(folder, "result.json", result)
            where = {"device": "cpu", "packages": {}, "git_commit": None, "git_changes": None, "source": "ab12"}
            write_values(folder, "environment.json", where)
            write_values(folder, "data.json", {"fingerprint": "cd34"})
    return place


@pytest.fixture
def runs(written, tmp_path):
    return shutil.copytree(written, tmp_path / "sweep")


def test_runs_become_cells(runs):
    gathered = gather(runs)
    assert gathered.num_runs == 81 and len(gathered.cells) == 27 and not gathered.left_out
    arms = plan("gated_loop", widths=[48, 64, 96], loops=[1, 2, 4], steps=[60, 240, 960]).arms.values()
    assert {(c.num_once, c.num_rec, c.loops, c.tokens) for c in gathered.cells} == {
        (a.num_once, a.num_rec, a.loops, a.tokens) for a in arms
    }
    assert all(set(cell.losses) == {0, 1, 2} for cell in gathered.cells)
    counted = gather(runs, "all").cells
    assert counted[0].num_once > gathered.cells[0].num_once and counted[0].num_rec == gathered.cells[0].num_rec


def test_runs_that_met_other_things_are_flagged(runs):
    assert gather(runs).unlike == () and not any("also differ" in flag for flag in measure(runs).judgement.flags)
    change(runs / "trials/0002/seed-1", "environment.json", lambda where: where.update(device="NVIDIA H100"))
    change(runs / "trials/0003/seed-0", "data.json", lambda data: data.update(fingerprint="ef56"))
    assert "the runs also differ in data, device" in measure(runs).judgement.flags


def test_runs_that_diverged_count_against_what_is_told(runs):
    deep = sorted(runs.glob("trials/*/seed-*"))[-6:]
    for number, folder in enumerate(deep):
        change(folder, "result.json", lambda result: result.update(status="diverged"))
        told = measure(runs).judgement
        assert f"{number + 1} runs diverged and count nowhere: cells rest on the runs that did not" in told.flags
        assert told.told == (number < 3), "up to one in twenty"
    assert told.sentence.startswith("cannot tell: too many runs diverged")


def test_what_did_not_finish_is_left_out_and_named(runs):
    (runs / "trials/0000/seed-0/result.json").unlink()
    change(runs / "trials/0001/seed-1", "result.json", lambda result: result.update(status="diverged"))
    gathered = gather(runs)
    assert gathered.num_runs == 79 and sorted(gathered.left_out.values()) == ["diverged", "unfinished"]
    assert measure(runs).fit.phi.value == pytest.approx(PHI, abs=0.1)


def test_runs_that_differ_in_more_are_no_sweep(runs):
    change(runs / "trials/0003/seed-0", "recipe.yaml", lambda recipe: recipe["training"]["optimizer"].update(lr=0.5))
    with pytest.raises(
        RecipeError, match="differs from .* in training.optimizer.lr, not in model, steps and seed alone"
    ):
        gather(runs)


def test_a_run_counts_once(runs):
    change(runs / "trials/0003/seed-0", "recipe.yaml", lambda recipe: recipe.update(seed=1))
    with pytest.raises(RecipeError, match="another run has the same model, steps and seed 1"):
        gather(runs)


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(RecipeError, match="holds no finished run"):
        gather(tmp_path)


def test_the_command_fits_what_is_there(runs):
    result = CliRunner().invoke(app, ["worth", "--fit-only", str(runs)])
    assert result.exit_code == 0, result.output
    assert "recurrences add capacity, but less than layers of their own" in result.output
    assert "equivalent unique parameters" in result.output
    numbers = json.loads((runs / "worth.json").read_text())
    phi = numbers["parameters"]["phi"]
    assert phi["low"] <= PHI <= phi["high"] and numbers["told"] and len(numbers["cells"]) == 27
    assert len(numbers["equivalents"]) == 6, "two loop counts at three widths"
    for one in numbers["equivalents"]:
        assert one["params"]["value"] == pytest.approx(one["num_once"] + one["loops"] ** phi["value"] * one["num_rec"])
    assert (runs / "worth.png").stat().st_size > 10_000


def test_open_ends_are_written_as_null(runs):
    for folder in runs.glob("trials/*/seed-*"):
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
        if recipe["training"]["max_steps"] != 60 or recipe["model"]["width"] != 48:
            (folder / "result.json").unlink()
    result = CliRunner().invoke(app, ["worth", "--fit-only", str(runs)])
    assert result.exit_code == 0 and "cannot tell" in result.output and "left out: 72 unfinished" in result.output
    numbers = json.loads((runs / "worth.json").read_text())
    assert numbers["parameters"]["phi"]["low"] is None and not numbers["told"] and numbers["flags"]


def test_a_dry_run_prints_the_plan_and_trains_nothing(tmp_path):
    result = CliRunner().invoke(app, ["worth", "gated_loop", "--widths", "48,96", "--steps", "60,120", "--dry-run"])
    assert result.exit_code == 0 and "36 runs: 12 arms of 3 seeds" in result.output and "FLOPs" in result.output
    assert [path.name for path in tmp_path.rglob("*")] == ["studies", "gated_loop-worth.yaml"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "expected a recipe to sweep, or --fit-only"),
        (["gated_loop", "--loops", "1,two"], "--loops 1,two: expected whole numbers joined by commas"),
        (["gated_loop", "--count", "al"], "--count al: did you mean 'all'"),
    ],
)
def test_mistakes_are_one_line(arguments, said):
    result = CliRunner().invoke(app, ["worth", *arguments])
    assert result.exit_code == 2 and said in result.output and len(result.output.splitlines()) == 1
