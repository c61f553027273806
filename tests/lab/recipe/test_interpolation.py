"""References in recipes: the same value on every entrance, and one line where there is none."""

import pytest
import yaml

from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.compose import validate, written
from mythos_lab.recipe.documents import parse_yaml
from mythos_lab.recipe.interpolation import escaped, resolved
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.budgets.hold import held
from mythos_lab.search.spaces.space import load_space

FIELD = "model.core.layer.feedforward.hidden"
MINE = """
name: mine
defaults: [/task: parity, /training: quick, _self_]
model: {width: 16, core: {depth: 1, layer: {feedforward: {kind: swiglu, hidden: '${model.width}'}}}}
"""


class Fixed:
    """A trial that takes a certain width, and an arm."""

    def suggest_int(self, name, *_, **__):
        return 48

    def suggest_categorical(self, name, values):
        return values[-1]


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.yaml").write_text(MINE)
    return tmp_path / "mine.yaml"


def space(mine, **fields):
    file = {"name": "s", "recipe": "mine.yaml", "objectives": {"val/accuracy": "maximize"}, **fields}
    (mine.parent / "space.yaml").write_text(yaml.safe_dump(file))
    return load_space(str(mine.parent / "space.yaml"))


def hidden(recipe):
    return recipe.model.core.layer.feedforward.hidden


def test_a_reference_sees_what_was_set_whoever_set_it(mine):
    assert hidden(load_recipe(str(mine))) == 16
    assert hidden(load_recipe(str(mine), ["model.width=32"])) == 32
    found = space(mine, space={"model.width": {"int": [8, 64]}})
    assert hidden(validate(found.candidate(Fixed()), "candidate")) == 48
    found = space(mine, arms={"narrow": {}, "wide": {"model.width": 40}})
    assert hidden(validate(found.candidate(Fixed()), "candidate")) == 40
    found = space(
        mine,
        space={"model.core.depth": {"int": [1, 2]}},
        hold={"budgets": {"cost/params": 30000}, "by": "model.width", "tolerance": 0.2},
    )
    config = held(found.base, found.hold_of(None), "hold")
    assert hidden(validate(config, "held")) == config["model"]["width"] != 16


def test_a_reference_may_be_written_on_every_entrance(mine, tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "own.yaml").write_text("kind: parity\nmin_length: 7\nmax_length: '${task.min_length}'\n")
    assert load_recipe(str(mine), ["task=own"]).task.max_length == 7
    assert load_recipe(str(mine), ["seed=${model.width}"]).seed == 16
    assert load_recipe(str(mine), ["description='width ${model.width}'"]).description == "width 16"
    found = space(mine, space={"model.core.depth": {"int": [1, 2]}}, overrides=["seed=${model.width}"])
    assert validate(found.base, "base").seed == 16
    found = space(mine, arms={"a": {}, "b": {"seed": "${model.width}"}})
    assert validate(found.candidate(Fixed()), "candidate").seed == 16


@pytest.mark.parametrize(
    "value, found",
    [
        ("${model.width}", 16),
        ("${training.max_steps}", 1000),
        ("${training.validate_every}", 100),
        ("${evaluation.depth_factor}", 4),  # written nowhere: the schema's own
        ("${model.core.layer.feedforward.hidden}", 16),  # by way of another
        ("'${2 * (model.width - evaluation.depth_factor) / 4}'", 6),
        ("'${model.core.layer.feedforward.hidden ** 0.5}'", 4),
    ],
)
def test_what_a_reference_comes_to(mine, value, found):
    assert load_recipe(str(mine), [f"training.batch_size={value}"]).training.batch_size == found


@pytest.mark.parametrize(
    "override, said",
    [
        ("seed=${model.wdith}", "${model.wdith}: model.wdith: unknown field 'wdith'; did you mean 'width'"),
        ("seed=${modle.width}", "did you mean 'model'"),
        ("seed=${seed}", "comes back to itself by seed -> seed"),
        ("model.width=${model.core.layer.feedforward.hidden}", "comes back to itself"),
        ("seed=${oc.env:HOME}", "only tracking.uri may name one"),
        ("seed=${.width}", "expected ${path}"),
        ("seed='${}'", "expected ${path}"),
        ("seed='${model'", "expected ${path}"),
        ("description='a ${model}'", "no single value"),
        ("seed=${model}", "seed: "),
        ("seed=${training}", "seed: "),
        ("seed=${evaluation}", "nothing is written there"),
        ("seed='${1 / (model.width - 16)}'", "comes to no number"),
        ("seed='${10 ** 10 ** 10}'", "comes to no number"),
        ("seed='${model.width + name}'", "name is 'mine', and no number"),
        ("seed='${model.width + model.wdith}'", "did you mean 'width'"),
        ("seed='${model.width +}'", "expected a path, or a sum of numbers and paths"),
        ("seed='${len(name)}'", "unknown field 'len'"),
        ("seed='${[1][0] + 1}'", "expected a path, or a sum of numbers and paths"),
        ("seed='${1 - seed}'", "comes back to itself"),
    ],
)
def test_a_reference_to_nothing_is_one_line(mine, override, said):
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(mine), [override])
    assert len(caught.value.lines) == 1 and said in caught.value.lines[0]


def test_references_that_multiply_are_refused(mine):
    config = {"name": "x", "waive": ["${description}${description}"] * 10, "description": "x" * 6000}
    with pytest.raises(RecipeError, match="more than 10,000 characters"):
        resolved(Recipe, config, "here")
    many = {f"a{i}": [f"${{a{i - 1}}}"] * 10 if i else 1 for i in range(9)}
    with pytest.raises(RecipeError, match="values, with what references stand for"):
        resolved(Recipe, many, "here")


@pytest.mark.parametrize("text", ["${model.width}", "\\${model.width}", "a ${x", "\\\\${y}", "$x", "\\", "${", "100 %"])
def test_a_run_keeps_what_came_out_and_follows_it_no_second_time(mine, text):
    recipe = load_recipe(str(mine)).model_copy(update={"description": text})
    assert validate(parse_yaml(written(recipe), "recipe.yaml"), "recipe.yaml") == recipe
    assert resolved(Recipe, {"description": escaped(text)}, "here") == {"description": text}
