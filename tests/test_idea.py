"""docs/idea.md is executed as it stands: component, test, recipe, comparison on two tasks, figure and table."""

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

PAGE = Path("docs/idea.md").read_text()
BLOCKS = re.findall(r'^```(\w+)(?: title="([\w.]+)")?\n(.*?)^```', PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_page_from_an_idea_to_a_figure(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    programs = {"mythos": [sys.executable, "-m", "mythos_lab.cli"], "python": [sys.executable]}
    ran = []
    for language, name, content in BLOCKS:
        if name:
            (tmp_path / name).write_text(content)
        elif language == "console":
            for line in content.splitlines():
                program, *arguments = shlex.split(line.removeprefix("$ "))
                done = subprocess.run(
                    [*programs[program], *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                ran.append(line)
    assert len(ran) == 5

    paper = tmp_path / "paper"
    named = re.findall(r"`paper/([\w.]+)`", PAGE)
    assert len(named) == 6 and all((paper / name).stat().st_size > 0 for name in named)
    assert all((paper / name).read_bytes().startswith(b"%PDF") for name in named if name.endswith(".pdf"))
    assert "\\toprule" in (paper / "scores.tex").read_text()
    page = (paper / "report.md").read_text()
    assert "On parity: " in page and "On addition: " in page

    runs = sorted((tmp_path / "studies" / "decays" / "trials").glob("*/seed-*"))
    assert len(runs) == 12
    metrics = [json.loads((run / "result.json").read_text())["metrics"] for run in runs]
    for cost in ("cost/params", "cost/training_flops"):
        assert len({each[cost] for each in metrics[:6]}) == len({each[cost] for each in metrics[6:]}) == 1
    with zipfile.ZipFile(tmp_path / "studies" / "decays" / "code.zip") as code:
        assert code.read("decayed.py") == (tmp_path / "decayed.py").read_bytes()
