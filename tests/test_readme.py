"""The README's snippets run, and its commands exist."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app

README = Path("README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", PYTHON)
def test_python_snippets_run(code):
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_the_recipe_is_clean(tmp_path):
    (recipe,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "mine.yaml").write_text(recipe)
    result = CliRunner().invoke(app, ["check", str(tmp_path / "mine.yaml"), "task.length=16", "training.batch_size=2"])
    assert result.exit_code == 0 and "mine: clean" in result.output, result.output


def test_the_check_prints_what_the_readme_says():
    (said,) = re.findall(r"```\n(waived.*?)```", README, flags=re.DOTALL)
    result = CliRunner().invoke(app, ["check", "openmythos_as_published"])
    assert result.output == said, result.exception


def test_the_tour_names_verbs_that_exist_and_the_table_all_of_them():
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"^\$ mythos (\w+)", README, flags=re.MULTILINE)) <= verbs
    table = " ".join(re.findall(r"^\| `.*", README, flags=re.MULTILINE))
    assert verbs == set(re.findall(r"`(\w+)", table)) & verbs
    assert (
        set(re.findall(r"`make (\w+)`|^make (\w+)", README, flags=re.MULTILINE))
        and "study:" in Path("Makefile").read_text()
    )
