"""What stands on the pages of runs and arms, and the sentence that they end in."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mythos_blocks.declaring.registry import slot_info
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.reporting.answers import arms_answer
from mythos_lab.comparison.reporting.arm_sections import (
    halting_section,
    loops_section,
    measured_arms,
    stability_section,
)
from mythos_lab.comparison.reporting.measure_sections import measured
from mythos_lab.comparison.reporting.recorded import Depth, Recorded, Taken, read_run
from mythos_lab.comparison.reporting.run_page import run_page
from mythos_lab.comparison.table import said_of
from mythos_lab.comparison.verdict import paired
from mythos_lab.measures import Measure
from mythos_lab.recipe import load_recipe
from mythos_lab.report.page import Figure, Finding, Grid, Page, Section, Tabled
from mythos_lab.report.page.page import MOST_FIGURES, bounded
from tests.security import tiny, write

MEASURES = {kind: made for kind, made in slot_info("measure").kinds.items() if issubclass(made, Measure)}


def value(quantity, number, loop=None, of="", unit="1", **more):
    said = {"quantity": quantity, "of": of, "unit": unit, "note": "", "value": number, **more}
    return said if loop is None else {**said, "loop": loop}


@pytest.mark.parametrize("kind", [*MEASURES, "of_somebody_else"])
def test_any_measure_stands_on_a_page_with_its_sentence_and_every_number(kind):
    declared = MEASURES[kind].quantities if kind in MEASURES else {"theirs/thing": SimpleNamespace(unit="share")}
    values = [value(q, 0.5 + t, t, unit=m.unit, low=0.1, high=9.0) for q, m in declared.items() for t in (1, 2, 3)]
    values += [value(q, 7.5, of="x", unit=m.unit) for q, m in declared.items()]
    parts = bounded([Section("", list(measured(Taken(kind, "it says", values))))])[0].parts
    assert parts[0] == Finding(kind, "it says")
    tables = [part.chart.table() if isinstance(part, Figure) else part.table for part in parts[1:]]
    held = [cell for table in tables for record in table.records() for cell in record.values()]
    assert all(held.count(7.5) == len(declared) and held.count(0.5 + t) == len(declared) for t in (1, 2, 3))


@pytest.mark.parametrize("kind", [*MEASURES, "of_somebody_else"])
def test_any_measure_of_several_arms_is_drawn_over_each_other_and_every_mean_over_seeds_is_there(kind):
    declared = MEASURES[kind].quantities if kind in MEASURES else {"theirs/thing": SimpleNamespace(unit="share")}

    def taken(shift):
        values = [value(q, shift + t, t, unit=m.unit) for q, m in declared.items() for t in (1, 2, 3)]
        return Taken(kind, "", values + [value(q, shift + 9, of="x", unit=m.unit) for q, m in declared.items()])

    parts = list(measured_arms(kind, {"a": [taken(0.0), taken(0.5)], "b": [taken(4.0)]}))
    charts = [part.chart for part in parts if isinstance(part, Figure)]
    assert [[(line.label, line.y) for line in chart.series] for chart in charts] == [
        [("a", [1.25, 2.25, 3.25]), ("b", [5.0, 6.0, 7.0])] for _ in declared
    ]
    (table,) = [part.table for part in parts if isinstance(part, Tabled)]
    cells = [record["value"] for record in table.records()]
    assert [cell["mean"] if isinstance(cell, dict) else cell for cell in cells] == [9.25, 13.0] * len(declared)


def test_a_page_of_arms_says_of_each_what_its_loops_do_whether_it_is_stable_and_when_it_halts():
    halting = load_recipe("gated_loop", ["model.core.halting={kind: act}"])
    several = {
        "a": [replace(RUN, metrics={**RUN.metrics, "stability/rho_A": 0.5, "loops/used": 2.0})],
        "b": [replace(RUN, recipe=halting, histogram=[0.25, 0.75], metrics={"halting/mean_loops": 1.75})],
    }
    loops, stability, halts = (make(several) for make in (loops_section, stability_section, halting_section))
    assert loops.parts[0].table.records()[0]["loops/used"] == 2.0 and "was taken of none" in loops.parts[1]
    assert stability.parts[0].table.records()[0]["stability/rho_A"] == 0.5
    figure, table = halts.parts
    assert [(line.label, line.y) for line in figure.chart.series] == [("b", [0.25, 0.75])]
    assert table.table.records()[1]["halting/mean_loops"] == 1.75
    assert halting_section({"a": several["a"]}).parts == [
        "Nothing halts in these models: every position runs all iterations."
    ]


def test_many_lines_of_one_unit_are_shades_and_a_value_at_one_loop_is_no_figure():
    many = [value("lens/rank", 1.0 + t, t, f"layer {i}") for i in range(10) for t in (1, 2)]
    assert any(isinstance(p, Figure) and isinstance(p.chart, Grid) for p in measured(Taken("lens", "", many)))
    assert not any(isinstance(p, Figure) for p in measured(Taken("lens", "", [value("lens/rank", 1.0, 3)])))


def test_a_record_of_more_figures_than_a_page_can_draw_shows_the_others_as_tables():
    taken = [Taken(f"m{i % 7}!", "", [value("a/b", 1.0, t) for t in (1, 2)]) for i in range(MOST_FIGURES + 40)]
    sections = bounded([Section("all", [part for each in taken for part in measured(each)])])
    shown = Page("", "", "", "", sections=sections)
    assert len(shown.figures) == MOST_FIGURES and len(shown.tables) == MOST_FIGURES + 40


def test_what_is_not_there_is_said_and_no_figure_is_empty(tmp_path):
    write(tmp_path / "recipe.yaml", tiny())
    (tmp_path / "run.json").write_text(json.dumps({"key": "0"}))
    diverged = {"status": "diverged", "reason": "the loss is nan", "metrics": {"val/loss": None}}
    (tmp_path / "result.json").write_text(json.dumps(diverged))
    page = run_page(read_run(tmp_path))
    assert page.figures == []
    assert page.answer == "Nothing can be said of its loops: the run is diverged (the loss is nan)."
    said = [part for section in page.shown for part in section.parts if isinstance(part, str)]
    for words in (
        "no depth curve",
        "no knock-outs",
        "Nothing halts",
        "loop verdict was not taken",
        "Nothing of its stability",
    ):
        assert any(words in sentence for sentence in said), words
    assert not any(isinstance(p, Tabled) and not p.table.rows for s in page.shown for p in s.parts)


RUN = Recorded(
    Path("run"), load_recipe("gated_loop"), "finished", "", {"val/accuracy": 0.9, "loops/gain": 0.3},
    {"val/accuracy": (0.88, 0.92), "loops/gain": (0.25, 0.35)}, Depth([1, 4], "accuracy", [0.6, 0.9], [0.5, 0.8], [0.7, 1.0]), None,
    4, 0.5, [], [],
)  # fmt: skip


@pytest.mark.parametrize(
    "change, words",
    [
        ({}, "gated_loop comes to val/accuracy 0.9 [0.88, 0.92]; its further loops are worth +0.3 [0.25, 0.35] over one loop; whether"),
        ({"intervals": {"loops/gain": (-0.1, 0.7)}}, "its further loops change nothing that these samples can tell"),
        ({"metrics": {"val/accuracy": 1.0}}, "the ceiling: a harder setting would tell more"),
        ({"metrics": {"val/accuracy": 0.9, "ood/accuracy": 0.51}, "intervals": {"ood/accuracy": (0.49, 0.53)}},
         "out of distribution it comes to 0.51 [0.49, 0.53], which is chance"),
        (
            {"metrics": {"val/accuracy": 0.9, "ood/accuracy": 0.6, "ood/best_accuracy": 0.8}, "intervals": {"ood/accuracy": (0.58, 0.62)}},
            "out of distribution it comes to 0.6 [0.58, 0.62], and to 0.8 at the loop count that is best there",
        ),
        (
            {"metrics": {"val/accuracy": 0.9, "ood/accuracy": 0.6, "ood/best_accuracy": 0.8}, "intervals": {"ood/accuracy": (0.58, 0.62)},
             "beyond": Depth([4, 16], "accuracy", [0.6, 0.8], [None, None], [None, None])},
            "and to 0.8 at 16 loops, the count that is best there",
        ),
        ({"measures": [Taken("loop_verdict", "4 of 4 loops used, 1 distinct", [])]}, "; 4 of 4 loops used, 1 distinct. This is one seed"),
    ],
)  # fmt: skip
def test_the_page_of_a_run_ends_in_what_its_loops_are_worth(change, words):
    assert words in run_page(replace(RUN, **change)).answer


def compared(a, b, undeclared=(), better="higher"):
    return Comparison("val/accuracy", None, None, {}, list(undeclared), paired(a, b, 0.01), 0.01, better)


def run(**metrics):
    return SimpleNamespace(metrics={name.replace("_", "/", 1): value for name, value in metrics.items()})


LOW, HIGH, WILD = [0.5, 0.51, 0.5], [0.7, 0.72, 0.71], [0.4, 0.7, 0.5]


@pytest.mark.parametrize(
    "found, words",
    [
        ({"b": compared(LOW, HIGH)}, "b is better than a in val/accuracy by +0.207 ["),
        ({"b": compared(HIGH, LOW)}, "b is worse than a in val/accuracy by -0.207 ["),
        ({"b": compared(HIGH, LOW, better="lower")}, "b is better than a"),
        ({"b": compared(LOW, HIGH, ["parameters"])}, "b's val/accuracy is higher than a's by"),
        ({"b": compared(LOW, HIGH, ["parameters"])}, "no more can be said, as they also differ in parameters"),
        ({"b": compared(LOW, WILD)}, "Of b 3 seeds do not tell"),
        ({"b": compared(LOW[:1], HIGH[:1])}, "Of b one seed tells nothing"),
        ({"b": compared(LOW, LOW)}, "b differs from a by nothing that matters"),
        ({"b": compared(LOW, LOW), "c": compared(LOW, [0.49, 0.53, 0.5])}, "c and b all differ by less than ±0.01, and only of the latter"),
        ({}, "The question cannot be answered: no two arms can be compared (b: diverged)."),
    ],
)  # fmt: skip
def test_the_page_of_arms_ends_in_what_each_is_worth_against_the_first(found, words):
    without = {} if found else {"b": "diverged"}
    said = arms_answer(found, "a", without, {"a": [run(val_accuracy=0.5)], "b": [run(val_accuracy=0.6)]})
    assert words in said and ("better" in words or "is better" not in said)


def test_a_bound_that_is_infinite_is_said_in_words():
    arms = {arm: SimpleNamespace(metrics={0: {"val/accuracy": 0.5}}) for arm in "ab"}
    by_chance = paired([0.5, 0.6], [0.6, 0.7], 0.01, ties_tell=False)
    tied = replace(compared(LOW, HIGH), verdict=by_chance, **arms)
    assert said_of(tied) == "not enough seeds: 2 with the same difference show no scatter; more seeds or samples may"
    alone, wild = (replace(compared(*values), **arms) for values in ((LOW[:1], HIGH[:1]), (LOW, WILD)))
    assert said_of(alone) == "one seed tells nothing: a scatter takes two at least"
    assert said_of(wild).startswith("not enough seeds (finds 0.")


def test_arms_at_the_ceiling_are_named_with_the_metric_that_tells_them_apart():
    top = {"val_accuracy": 1.0, "val_loss": 0.001}
    runs = {"a": [run(**top, ood_best_accuracy=0.7)], "b": [run(**top, ood_best_accuracy=0.9)]}
    said = arms_answer({"b": compared([1.0, 1.0], [1.0, 1.0])}, "a", {}, runs)
    assert said == (
        "Which of b and a is better is not told, for both are at the ceiling of val/accuracy. All arms are at the "
        "ceiling of val/accuracy, which cannot tell them apart; ood/best_accuracy does: 0.9 for b against 0.7 for a."
    )
    alike = {arm: [run(**top, ood_accuracy=math.nan)] for arm in "ab"}
    assert arms_answer({"b": compared([1.0], [1.0])}, "a", {}, alike).endswith("them apart; a harder setting would.")
