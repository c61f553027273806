"""Figures are drawn by matplotlib's own settings, which is loaded for them and for nothing else."""

import subprocess
import sys

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
