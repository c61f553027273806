"""Every Python snippet of the docs runs on its own, and what is generated is up to date."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mythos_blocks.declaring.registry import slots
from mythos_lab.cli import app
from mythos_lab.search.spaces.space import load_space

SNIPPETS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in sorted(Path("docs").glob("*.md"))
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL), 1)
]


STUDIES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in sorted(Path("docs").glob("*.md"))
    for number, code in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL), 1)
    if "objectives:" in code
]


@pytest.fixture(autouse=True)
def forget_what_examples_register():
    before = {name: set(info.kinds) for name, info in slots().items()}
    yield
    for name, info in slots().items():
        for kind in set(info.kinds) - before.get(name, set(info.kinds)):
            del info.kinds[kind]


def test_there_are_ten_examples_of_the_blocks():
    assert len(re.findall(r"^## \d+\.", Path("docs/blocks.md").read_text(), flags=re.MULTILINE)) >= 10


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs", "exec"), {"__name__": "docs"})


@pytest.mark.parametrize("code", STUDIES)
def test_a_study_that_is_shown_loads(code, tmp_path):
    (tmp_path / "study.yaml").write_text(code)
    assert load_space(str(tmp_path / "study.yaml")).num_trials() > 0


def test_the_catalogue_is_the_present_one():
    result = CliRunner().invoke(app, ["components", "--markdown"])
    assert result.exit_code == 0
    assert Path("docs/components.md").read_text() == result.output, "run make docs"
