"""Figures are drawn by matplotlib's own settings, which is loaded for them and for nothing else."""

import subprocess
import sys

import pytest

from mythos_lab.measures.base import Outcome, Value
from mythos_lab.report.heat_map import heat_map
from mythos_lab.report.loops import loop_figure
from mythos_lab.report.verdicts import verdict_figure

DRAW = """
import sys
from pathlib import Path
import mythos_lab.report.depth_figures, mythos_lab.report.worth
from mythos_lab.report.verdicts import verdict_figure
assert "matplotlib" not in sys.modules
verdict_figure({"an $arm": (0.1, 0.0, 0.2), "b$^$": (0.1, -0.1, 0.3)}, 0.05, "val/loss", "$first", Path("it.png"))
"""


def test_settings_in_the_working_directory_have_no_say(tmp_path):
    pages = []
    for name, settings in (("plain", ""), ("theirs", "text.usetex: True\nlines.linewidth: 9\nfont.size: 30\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "matplotlibrc").write_text(settings)
        subprocess.run([sys.executable, "-c", DRAW], cwd=folder, check=True)
        pages.append((folder / "it.png").read_bytes())
    assert pages[0] == pages[1] and pages[0].startswith(b"\x89PNG")


FORMULA = r"$\frac{$"  # no formula, which is said where text is read as one
FIGURES = {
    "a heat map": lambda path: heat_map(
        {(1, 1): (0.5, FORMULA)},
        [1],
        [1],
        rows=FORMULA,
        columns=FORMULA,
        title=FORMULA,
        higher_is_better=True,
        path=path,
    ),
    "verdicts": lambda path: verdict_figure({FORMULA: (0.1, 0.0, 0.2)}, 0.05, FORMULA, FORMULA, path),
    "values by loop": lambda path: loop_figure(
        Outcome("logit_lens", [Value("logit_lens/rank", 0.5, t, of=f"{FORMULA}/{FORMULA}") for t in (1, 2)], ""),
        path,
    ),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_what_others_named_is_no_formula(figure, tmp_path):
    assert FIGURES[figure](tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
