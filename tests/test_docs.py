"""Every Python snippet of the docs runs on its own, and what is generated is up to date."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.reproduce.index import index_page
from mythos_lab.recipe import Recipe, load_recipe
from mythos_lab.recipe.documents import parse_yaml
from mythos_lab.recipe.paths import field_at
from mythos_lab.report.measures import measures_markdown
from mythos_lab.search.spaces.space import load_space

SNIPPETS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in sorted(Path("docs").glob("*.md"))
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL), 1)
]


WRITTEN = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in sorted([Path("README.md"), *Path("docs").glob("*.md")])
    for number, code in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL), 1)
]

# What stands in the table of docs/searching.md, by the field of gated_loop that it is tried on.
VARIED = {
    "{float: any}": "training.schedule.final",
    "{float: ": "training.optimizer.lr",
    "{choice: any}": "training.precision",
    "{kinds: ": "model.core.injection",
    "{lti: ": "model.core.injection",
    "any": "model.core.injection",
}


def test_there_are_ten_examples_of_the_blocks():
    assert len(re.findall(r"^## \d+\.", Path("docs/blocks.md").read_text(), flags=re.MULTILINE)) >= 10


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs", "exec"), {"__name__": "docs"})


@pytest.mark.parametrize("code", WRITTEN)
def test_what_is_shown_in_yaml_loads(code, tmp_path):
    (tmp_path / "shown.yaml").write_text(code)
    shown = parse_yaml(code, "shown.yaml")
    if "objectives" in shown:
        assert load_space(str(tmp_path / "shown.yaml")).num_trials() > 0
    elif "model" in shown:
        assert load_recipe(str(tmp_path / "shown.yaml")).name == shown["name"]
    else:  # a part of a recipe
        for path, value in flattened(shown):
            field_at(Recipe, shown, path, "shown.yaml")
            assert value is not None


def flattened(mapping, prefix=""):
    for key, value in mapping.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")


def cells(page, heading):
    """What stands in the first column of the table below a heading, snippet by snippet."""
    rows = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.split(" | ")[0] for line in rows.splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]+)`", line) for line in lines]


def test_what_a_field_may_be_loads_as_it_is_written(tmp_path):
    rows = cells(Path("docs/searching.md").read_text(), "What a field may be")
    assert len(rows) >= 7
    for snippets in rows:
        # The last one refers to the label of the one before.
        groups = [snippets] if any("label" in snippet for snippet in snippets) else [[snippet] for snippet in snippets]
        for group in groups:
            fields = [
                next((path for start, path in VARIED.items() if snippet.startswith(start)), "model.core.depth")
                for snippet in group
            ]
            fields = ["model.core.depth", "model.core.loops.low"] if len(group) == 2 else fields
            low = [
                snippet.replace("[0, 2]", "[1, 2]") for snippet in group
            ]  # a prelude may have no layer, a core may not
            lines = "".join(f"  {path}: {snippet}\n" for path, snippet in zip(fields, low, strict=True))
            text = f"name: s\nrecipe: gated_loop\nspace:\n{lines}objectives: {{val/accuracy: maximize}}\n"
            (tmp_path / "space.yaml").write_text(text)
            assert load_space(str(tmp_path / "space.yaml")).domains.keys() == set(fields), text


def test_words_and_numbers_mean_what_the_page_says():
    rows = cells(Path("docs/recipes.md").read_text(), "Words and numbers")
    numbers, named, words, (quoted,), _ = [[parse_yaml(s, "here") for s in row if s[0] not in "&*<"] for row in rows]
    assert all(isinstance(number, int | float) for number in numbers) and named == [True, False, None]
    assert words == [snippet for snippet in rows[2]] and quoted == "1e3"


def test_the_catalogue_is_the_present_one():
    result = CliRunner().invoke(app, ["components", "--markdown"])
    assert result.exit_code == 0
    assert Path("docs/components.md").read_text() == result.output, "run make docs"


def test_the_table_of_systems_is_made_of_the_records_beside_their_pages():
    page = Path("docs/systems/README.md").read_text()
    assert page == index_page(Path("docs/systems")), "run mythos reproduce --index"


def test_every_measure_has_its_row():
    assert measures_markdown() in Path("docs/measures.md").read_text(), (
        "paste what mythos_lab.report.measures.measures_markdown() returns"
    )
