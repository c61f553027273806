"""Composition, cost, the effect check, plug-ins, the command line."""

import subprocess
import sys
import textwrap

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from mythos_blocks import load_plugins
from mythos_lab.cli import app
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.files import data_dir, names
from mythos_lab.recipe.schema import Recipe, recipe_schema
from mythos_lab.training.assembly import assemble, effects
from tests.lab.recipes import DISTINCT

SMALL_TEXT = ["task.length=16", "task.validation_size=8", "training.batch_size=4"]


def findings(name, *overrides):
    recipe = load_recipe(name, overrides)
    return {f.code: f for f in effects(recipe, *assemble(recipe))}


def test_the_check_finds_what_openmythos_declares_without_effect():
    found = findings("openmythos_as_published", *SMALL_TEXT)
    assert found["depth.no_effect"].message.startswith("iterations 3-16 have no effect")
    assert "iterations 3-16 get exactly zero gradient" in found["gradient.missing"].message
    assert set(found) == {"depth.no_effect", "gradient.missing", "halting.mass", "stability.rho"}
    assert all(f.waived for f in found.values())


@pytest.mark.parametrize("name", ["openmythos", "gated_loop", "fixed_depth"])
def test_the_check_is_clean(name):
    assert findings(name, *(SMALL_TEXT if name != "gated_loop" else [])) == {}


def test_the_check_finds_a_component_that_nothing_reads():
    assert (
        "core.depth_adapter"
        in findings("gated_loop", "model.core.depth_adapter={kind: depth_lora, std: 0.0}")["gradient.missing"].message
    )


def test_every_recipe_file_and_its_composition_satisfies_the_schema():
    load_plugins()
    validator = jsonschema.Draft202012Validator(recipe_schema())
    for name in names("recipes"):
        validator.validate(yaml.safe_load((data_dir("recipes") / f"{name}.yaml").read_text()))
        validator.validate(load_recipe(name).model_dump(mode="json"))
    for mistake in (
        {"modle": {}},
        {"model": {"wdith": 3}},
        {"model": {"core": {"injection": "ltii"}}},
        {"training": {"max_steps": 0}},
    ):
        assert not validator.is_valid(mistake)


@pytest.mark.parametrize("name", DISTINCT)
def test_a_recipe_round_trips(name):
    recipe = load_recipe(name)
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


PLUGIN = '''
import mythos_blocks as mb

@mb.component("update", "{kind}")
class Average(mb.Update):
    """The mean of the old state and the core's output."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, h, u, carry, t):
        return (h + u) / 2, None
'''


def check_with_plugin(folder, *arguments):
    script = "import sys; sys.path.insert(0, '.'); from mythos_lab.cli import app; app()"
    return subprocess.run([sys.executable, "-c", script, *arguments], cwd=folder, capture_output=True, text=True)


def test_an_installed_package_adds_components_to_recipes(tmp_path):
    (tmp_path / "third_party.py").write_text(PLUGIN.format(kind="average"))
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mythos.components]\nthird = third_party\n")
    done = check_with_plugin(tmp_path, "check", "gated_loop", "model.core.update=average")
    assert done.returncode == 0 and "clean" in done.stdout, done.stderr
    assert "average" in check_with_plugin(tmp_path, "components", "update").stdout


def test_a_recipe_imports_components(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN.format(kind="mine"))
    (tmp_path / "mine.yaml").write_text(
        textwrap.dedent("""
        name: mine
        defaults: [/task: reachability, /training: quick, _self_]
        imports: [mine]
        mask: task
        model: {width: 16, core: {update: mine, loops: {kind: fixed, num_loops: 3}, layer: {attention: {kind: gqa, rope_theta: null}}}}
        """)
    )
    done = check_with_plugin(tmp_path, "check", "mine.yaml")
    assert done.returncode == 0 and "mine: clean" in done.stdout, done.stderr


def test_help_is_light_and_every_verb_shows_an_example():
    script = "import sys, mythos_lab.cli; print(sorted({'torch', 'lightning', 'mlflow', 'optuna', 'hydra'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"
    for verb in ("train", "study", "check", "cost", "recipes", "components", "schema", "depth", "ui"):
        shown = CliRunner().invoke(app, [verb, "--help"])
        assert shown.exit_code == 0 and f"mythos {verb}" in shown.output and "Example" in shown.output


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["recipes"], "gated_loop"),
        (["components"], "poisson_lognormal"),
        (["cost", "gated_loop"], "cost/params"),
        (["schema"], "$defs"),
    ],
)
def test_verbs_that_only_tell(arguments, said):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and said in result.output
