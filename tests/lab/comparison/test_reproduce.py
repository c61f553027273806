"""Protocols: what is read of runs, when a band holds, and the page that a study comes to."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.reproduce import concluding, load_protocol, plan
from mythos_lab.comparison.reproduce.bands import judge
from mythos_lab.comparison.reproduce.index import INDEX
from mythos_lab.comparison.reproduce.protocol import Band
from mythos_lab.comparison.reproduce.readings import read_reading
from mythos_lab.comparison.reproduce.record import read_records, write_record
from mythos_lab.comparison.reproduce.recording import recorded as record_of
from mythos_lab.comparison.reproduce.runs import Runs
from mythos_lab.comparison.study_file import write
from mythos_lab.recipe.files import names
from tests.lab.search import tiny

FILE = {
    "name": "mine",
    "title": "A system",
    "question": "Does it?",
    "claims": ["It does (its authors)."],
    "recipe": "gated_loop",
    "overrides": tiny.OVERRIDES,
    "arms": {"looped": {}, "once": {"set": {"model.core.loops": {"kind": "fixed", "num_loops": 1}}}},
    "objectives": {"val/accuracy": "maximize"},
    "seeds": 2,
    "declared": ["model"],
    "tables": [
        {"title": "Curves", "curve": "accuracy", "loops": [1, 2]},
        {"title": "Grid", "rows": ["hops=1", "hops=2"], "loops": [1, 2]},
        {"title": "Numbers", "columns": {"loss": "val/loss"}},
    ],
    "fits": {
        "phi": {"kind": "worth", "title": "Worth", "arms": ["looped", "once"]},
        "law": {
            "kind": "power",
            "title": "Growth",
            "x": "loops",
            "y": "loss",
            "read": "val/loss",
            "arms": {"looped": 2, "once": 1},
        },
    },
    "published": [
        {"title": "Theirs", "source": "a paper", "columns": ["model", "x"], "rows": [["a", 1.5], ["b", None]]}
    ],
    "bands": [
        {"claim": "It learns nothing in four steps", "of": {"arm": "looped", "read": "val/accuracy"}, "at_most": 0.99},
        {"claim": "It runs", "of": {"arm": "looped", "read": "diverged"}, "at_most": 0},
        {"claim": "The exponent is some number", "of": {"fit": "law", "read": "k"}, "at_least": -99, "at_most": 99},
    ],
}


def protocol(folder, **fields):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**FILE, **fields}, sort_keys=False))
    return path


def runs(**values):
    """Runs of arms, each with a metric ``x`` by seed; ``None`` diverged."""
    results = {
        arm: {
            seed: {"status": "diverged" if x is None else "finished", "metrics": {"x": x}, "depth_curve": None}
            for seed, x in enumerate(found)
        }
        for arm, found in values.items()
    }
    return Runs(results)


def band(read="x", **ends):
    others = {key: {"arm": ends.pop(key), "read": read} for key in ("less", "over") if key in ends}
    return Band(claim="c", of={"arm": "a", "read": read}, **others, **ends)


@pytest.fixture
def english():
    """Something in the place of the text that ``make english`` fetches."""
    texts = ["".join(f"{who} has {i} of them\n" for i in range(2000)) for who in ("Ann", "Bob", "Cid", "Dan")]
    Path("gcide.txt").write_text(texts.pop())
    Path("brown").mkdir()
    for i, text in enumerate(texts):
        Path(f"brown/{i}.txt").write_text(text)


@pytest.mark.parametrize("name", names("protocols"))
def test_every_protocol_of_ours_comes_to_a_study(name, english):
    read = load_protocol(name)
    held = [arm for arm, declared in read.arms.items() if declared.hold is not None]
    for arm in held[1:]:  # solving takes seconds an arm, and one shows that the protocol's budgets can be held
        read.arms[arm] = read.arms[arm].model_copy(update={"hold": None})
    space = write(plan(read))
    assert space.file.name == f"reproduce-{name}" and len(space.file.arms) > 1


@pytest.mark.parametrize(
    "text, value",
    [
        ("val/loss", 2.0),
        ("loss@4", 1.0),
        ("hops=3@4", 0.5),
        ("ood loss@4", 3.0),
        ("loss@5", math.nan),
        ("none", math.nan),
    ],
)
def test_a_reading_is_a_metric_or_a_point_of_a_curve(text, value):
    result = {
        "status": "finished",
        "metrics": {"val/loss": 2.0},
        "depth_curve": [{"loops": 4, "loss": 1.0, "hops=3": 0.5}],
        "ood_depth_curve": [{"loops": 4, "loss": 3.0}],
    }
    assert read_reading(text).value(result) == pytest.approx(value, nan_ok=True)


def test_a_band_holds_where_the_interval_lies_within_it():
    assert judge(band(at_least=0.9), runs(a=[1.0, 1.0, 1.0])).outcome == "holds"
    assert judge(band(at_least=0.9), runs(a=[0.1, 0.2, 0.15])).outcome == "does not hold"
    assert judge(band(at_least=0.9), runs(a=[0.8, 0.95, 1.0])).outcome == "open"
    assert judge(band(at_least=0.9), runs(b=[1.0])).outcome == "not measured"
    assert judge(band(at_least=0.9), runs(a=[1.0])).outcome == "open", "one seed has no interval"


def test_differences_and_ratios_are_those_of_seeds_that_both_have():
    found = judge(band(less="b", at_least=0.5), runs(a=[2.0, 3.0, 9.0], b=[1.0, 2.0]))
    assert found.values == (1.0, 1.0) and found.outcome == "holds"
    assert judge(band(over="b", at_most=2.0), runs(a=[2.0, 4.0], b=[1.0, 2.0])).values == (2.0, 2.0)


def test_one_run_that_diverged_tells_that_its_arm_does():
    assert judge(band("diverged", at_least=1), runs(a=[None])).outcome == "holds"
    assert judge(band("diverged", at_most=0), runs(a=[None])).outcome == "does not hold"


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=5), st.floats(-1, 1), st.floats(0, 1))
def test_a_band_that_holds_has_the_mean_in_it_and_one_that_does_not_has_it_outside(values, low, width):
    found = judge(band(at_least=low, at_most=low + width), runs(a=values))
    within = low <= found.mean <= low + width
    assert not (found.outcome == "holds" and not within) and not (found.outcome == "does not hold" and within)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"bands": [{"claim": "c", "of": {"arm": "lopped", "read": "x"}, "at_most": 1}]}, "did you mean 'looped'"),
        ({"bands": [{"claim": "c", "of": {"arm": "looped", "read": "x@"}, "at_most": 1}]}, "COLUMN@LOOPS"),
        ({"bands": [{"claim": "c", "of": {"arm": "looped", "read": "x"}}]}, "expected at_least"),
        ({"tables": [{"title": "t", "curve": "loss"}]}, "loops: expected"),
        ({"published": [{"title": "t", "source": "s", "columns": ["a"], "rows": [["b", 1]]}]}, "has 2 cells"),
        ({"arms": {"looped": {"overrides": ["seed=1"]}, "once": {}}}, "those of another recipe"),
        ({"recipe": "gated_lop"}, "did you mean 'gated_loop'"),
        ({"fits": {"phi": {"kind": "worth", "title": "t", "arms": ["looped", "onc"]}}}, "did you mean 'once'"),
        ({"bands": [{"claim": "c", "of": {"fit": "ph", "read": "phi"}, "at_most": 1}]}, "did you mean 'phi'"),
        ({"bands": [{"claim": "c", "of": {"fit": "phi", "read": "k"}, "at_most": 1}]}, "no parameter 'k'"),
        ({"bands": [{"claim": "c", "of": {"read": "x"}, "at_most": 1}]}, "expected arm or fit"),
        (
            {
                "bands": [
                    {
                        "claim": "c",
                        "of": {"fit": "law", "read": "k"},
                        "less": {"arm": "once", "read": "x"},
                        "at_most": 1,
                    }
                ]
            },
            "has no seeds",
        ),
    ],
)
def test_a_mistake_in_a_protocol_is_one_line(tmp_path, fields, said):
    done = CliRunner().invoke(app, ["reproduce", str(protocol(tmp_path, **fields)), "--dry-run"])
    assert done.exit_code == 2 and said in done.output and len(done.output.splitlines()) == 1, done.output
    assert not (tmp_path / "studies").exists()


def test_an_arm_may_be_another_recipe_and_is_brought_to_the_budget_of_the_first(tmp_path):
    hold = {"budgets": {"cost/training_flops": "recipe"}, "by": "training.max_steps", "tolerance": 0.5}
    other = {"recipe": "looped", "hold": hold}
    arms = plan(
        load_protocol(
            str(protocol(tmp_path, arms={"looped": {}, "once": {"set": {"model.width": 32}}, "other": other}))
        )
    )["arms"]
    assert arms["looped"] == {} and arms["once"] == {"model.width": 32}
    assert arms["other"]["model"]["prelude"]["depth"] == 1
    assert arms["other"]["training.max_steps"] >= 1


def test_the_page_says_which_bands_hold_and_the_same_command_goes_on(tmp_path, monkeypatch):
    path = protocol(tmp_path)
    read = load_protocol(str(path))
    space = write(plan(read))
    study = tiny.work_off(space)
    found, told = [], []
    files = concluding(read, "tiny", tmp_path / "pages", told.append, found)(space, study, 1.0).files
    assert [f.outcome for f in found] == ["holds", "holds", "holds"]
    written = (tmp_path / "pages" / "mine.md").read_text()
    assert "3 of 3 bands hold." in written and "## As published" in written and "![Curves](mine-1.png)" in written
    assert "![Worth](mine-phi.png)" in written and "- two numbers: that it is a power law is assumed" in written
    drawn = {"mine-1.png", "mine-2.png", "mine-phi.png", "mine-law.png"}
    assert {f.name for f in files} >= {"mine.md", "mine.json", *drawn}
    assert told[0].facts["outcomes"] == {"holds": 3, "does not hold": 0, "open": 0, "not measured": 0}

    protocol(tmp_path, differences=["It is small."])
    done = CliRunner().invoke(app, ["reproduce", str(path), "--page", "--out", str(tmp_path / "pages")])
    assert done.exit_code == 0, done.output
    again = (tmp_path / "pages" / "mine.md").read_text()
    assert "- It is small." in again and again.replace("- It is small.\n\n", "") == written, "the words alone differ"

    def trained(*_, **__):
        raise AssertionError("all of it was trained")

    monkeypatch.setattr("mythos_lab.search.trial.run", trained)
    never = {"claim": "Never", "of": {"arm": "once", "read": "val/loss"}, "at_most": 0}
    done = CliRunner().invoke(app, ["reproduce", str(protocol(tmp_path, bands=[never]))])
    assert done.exit_code == 1 and "0 of 1 bands hold; 1 do not" in done.output, done.output
    assert "DOES NOT HOLD" in (tmp_path / "docs" / "systems" / "mine.md").read_text()


def recorded(folder, *, outcomes=("holds",), fields=None, **arms):
    """A page and its record in a folder, of arms with ``val/accuracy`` by seed."""
    read = load_protocol(str(protocol(folder, fits={}, bands=FILE["bands"][:2], **(fields or {}))))
    found = [judge(read.bands[1], runs(looped=[1.0])) for _ in outcomes]
    found = [replace(finding, outcome=outcome) for finding, outcome in zip(found, outcomes, strict=True)]
    of_arms = {arm: dict(enumerate({"status": "finished", "metrics": m, "depth_curve": None} for m in metrics))
               for arm, metrics in arms.items()}  # fmt: skip
    (folder / "mine.md").write_text("# A system\n")
    return write_record(folder, record_of(read, "tiny", write(plan(read)), Runs(of_arms), found, {}, {}, {}))


def test_the_index_has_a_row_a_page_made_of_its_record(tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    metrics = [{"val/accuracy": x, "cost/training_flops": 2e6, "loops/used": 3} for x in (0.5, 0.75)]
    recorded(folder, outcomes=("holds", "does not hold", "open", "not measured"), looped=metrics, once=[{}])
    (record,) = read_records(folder)
    assert record.readings["looped"]["val/accuracy"] == {"0": 0.5, "1": 0.75}
    assert record.readings["once"]["val/accuracy"] == {"0": None}, "a run without the number"
    done = CliRunner().invoke(app, ["reproduce", "--index", "--out", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["systems"]
    assert (row["system"], row["holds"], row["does_not_hold"], row["cannot_be_told"]) == ("mine", 1, 1, 2)
    assert row["arm"] == "looped" and row["quality"]["mean"] == 0.625
    assert row["training_flops"]["mean"] == 2e6 and row["used"]["mean"] == 3 and row["distinct"] is None
    assert "| [A system](mine.md) | Does it? | 1 | 1 | 2 | looped | val/accuracy 0.625" in (folder / INDEX).read_text()
    (folder / "older.md").write_text("# Older\n")
    assert CliRunner().invoke(app, ["reproduce", "--index", "--out", str(folder)]).exit_code == 0, "its own is replaced"
    assert "not in the table: [older.md](older.md)." in (folder / INDEX).read_text()


def test_the_index_has_a_row_an_arm_where_arms_are_systems_on_one_task(tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    fields = {"side_by_side": True}
    recorded(folder, fields=fields, looped=[{"val/accuracy": 0.5, "cost/params": 9, "loops/used": 3}], once=[{}])
    done = CliRunner().invoke(app, ["reproduce", "--index", "--out", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert [row["system"] for row in json.loads(done.stdout)["mine"]] == ["looped", "once"]
    page = (folder / INDEX).read_text()
    assert "## A system" in page and "| looped | 0.5 | 9 |  | 3 |  | 0 |" in page and "| once |  |  |" in page


@pytest.mark.parametrize(
    "spoiled, said",
    [
        (lambda folder: (folder / INDEX).write_text("# Mine\n"), "another page"),
        (lambda folder: (folder / "mine.md").unlink(), "its page, mine.md, is not beside it"),
        (lambda folder: (folder / "mine.json").unlink(), "no record of a page"),
        (lambda folder: (folder / "mine.json").rename(folder / "other.json"), "checksum is another"),
        (lambda folder: (folder / "other.json").write_text("{}"), "checksum is missing"),
    ],
)
def test_an_index_is_made_of_records_as_they_were_written_and_takes_no_place_of_others(tmp_path, spoiled, said):
    folder = tmp_path / "pages"
    folder.mkdir()
    recorded(folder, looped=[{}])
    spoiled(folder)
    kept = (folder / INDEX).read_text() if (folder / INDEX).is_file() else None
    done = CliRunner().invoke(app, ["reproduce", "--index", "--out", str(folder)])
    assert done.exit_code != 0 and said in done.output and len(done.output.splitlines()) == 1, done.output
    assert kept == ((folder / INDEX).read_text() if (folder / INDEX).is_file() else None)


@pytest.mark.parametrize(
    "arguments, said",
    [([], "or --index"), (["--index", "--seeds", "2"], "trains nothing"), (["parcae", "--index"], "without parcae")],
)
def test_the_index_is_asked_for_alone(arguments, said):
    done = CliRunner().invoke(app, ["reproduce", *arguments])
    assert done.exit_code == 2 and said in done.output, done.output
