"""Tables and figures of what measures say of each loop."""

import pytest

from mythos_lab.measures import Outcome, Value
from mythos_lab.report.loops import loop_figure, loops_table
from mythos_lab.report.result import outcomes_report

LENS = Outcome(
    "logit_lens",
    (
        *(
            Value("logit_lens/rank", 9.0 - t, t, (8.0 - t, 10.0 - t), f"state/{token}")
            for t in range(9)
            for token in "ab"
        ),
        Value("logit_lens/kl", 0.5, 3, of="state"),
        Value("logit_lens/noise_kl", 0.25),
    ),
    "read",
)


def test_a_loop_is_a_column_and_what_is_of_one_a_row():
    table = loops_table(LENS)
    assert [column.key for column in table.columns] == ["quantity", "of", *(f"loop {t}" for t in range(9))]
    rows = {(row[0], row[1]): row[2:] for row in table.rows}
    assert rows["logit_lens/rank", "state/b"] == tuple(9.0 - t for t in range(9))
    assert rows["logit_lens/kl", "state"] == ("", "", "", 0.5, "", "", "", "", "")
    assert len(loops_table(LENS, ["logit_lens/kl"]).rows) == 1


def test_of_many_loops_the_first_the_last_and_some_between_are_shown():
    many = Outcome("logit_lens", tuple(Value("logit_lens/kl", float(t), t) for t in range(1, 65)), "read")
    shown = [column.key for column in loops_table(many).columns[2:]]
    assert len(shown) == 9 and shown[0] == "loop 1" and shown[-1] == "loop 64"


def test_what_is_of_no_loop_has_a_row_of_its_own_and_the_document_has_all():
    report = outcomes_report([LENS])
    assert len(report.facts["measures"]) == len(LENS.values)
    values, by_loop = (part for part in report.parts if hasattr(part, "rows"))
    assert [row[0] for row in values.rows] == ["logit_lens/noise_kl"] and by_loop.title == "logit_lens"
    assert loops_table(Outcome("logit_lens", LENS.values[-1:], "")) is None


@pytest.mark.parametrize("quantities, panels", [((), 2), (("logit_lens/rank",), 1)])
def test_a_figure_has_a_panel_for_each_quantity_and_place(quantities, panels, tmp_path, monkeypatch):
    from mythos_lab.report import loops

    drawn = []
    inner = loops.drawn_panels
    monkeypatch.setattr(loops, "drawn_panels", lambda *args: drawn.append(args[1] * args[2]) or inner(*args))
    path = loop_figure(LENS, tmp_path / "lens.png", quantities)
    assert path.read_bytes().startswith(b"\x89PNG") and drawn == [panels]
    assert loop_figure(Outcome("logit_lens", LENS.values[-1:], ""), tmp_path / "none.png") is None
