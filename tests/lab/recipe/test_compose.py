"""Where a recipe's parts come from: config groups, modules, other files."""

import sys

import pytest

from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.paths import field_at
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.spaces.space import load_space

MINE = "name: mine\ndefaults: [/task: {task}, /training: quick, _self_]\nmodel: {{width: 16}}\n"
PART = '''
import mythos_blocks as mb
import {other}

@mb.component("update", "{kind}")
class Own(mb.Update):
    """The mean of the old state and the core's output."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, h, u, carry, t):
        return (h + u) / 2, None
'''


@pytest.fixture
def forgets(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("language_test"):
            del sys.modules[name]


def folder(tmp_path, name="a b, [c] 'd' = \\ é"):
    made = tmp_path / name
    (made / "task").mkdir(parents=True)
    (made / "task" / "own.yaml").write_text("kind: parity\nmax_length: 9\n")
    return made


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_config_group_beside_the_recipe_is_chosen_in_the_file_and_on_the_command_line(tmp_path, suffix):
    place = folder(tmp_path)
    (place / f"mine.{suffix}").write_text(MINE.format(task="own"))
    (place / f"other.{suffix}").write_text(MINE.format(task="parity"))
    assert load_recipe(str(place / f"mine.{suffix}")).task.max_length == 9
    assert load_recipe(str(place / f"other.{suffix}"), ["task=own"]).task.max_length == 9
    assert load_recipe(str(place / f"other.{suffix}"), ["task=copy", "training=steps"]).task.kind == "copy"


def test_a_group_can_be_chosen_where_the_recipe_has_no_default_of_it(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\nmodel: {width: 16}\ntask: parity\n")
    assert load_recipe(str(tmp_path / "mine.yaml"), ["training=steps"]).training.max_steps == 3000


def test_config_groups_are_read_as_recipes_are(tmp_path):
    place = folder(tmp_path)
    (place / "mine.yaml").write_text(MINE.format(task="own"))
    (place / "task" / "own.yaml").write_text("kind: parity\nseed: 1\nseed: 2\n")
    with pytest.raises(RecipeError, match=r"own\.yaml: line 3: seed: written twice"):
        load_recipe(str(place / "mine.yaml"))
    (place / "task" / "own.yaml").write_text("# @package\nkind: parity\n")
    with pytest.raises(RecipeError, match=r"own\.yaml: Expected header format"):
        load_recipe(str(place / "mine.yaml"))


def test_the_recipe_of_a_space_is_looked_for_beside_it_then_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "sub"
    place.mkdir()
    text = "name: s\nrecipe: {}\nspace: {{model.core.depth: {{int: [1, 2]}}}}\nobjectives: {{val/accuracy: maximize}}\n"
    (place / "space.yaml").write_text(text.format("mine.yaml"))
    with pytest.raises(RecipeError, match="neither beside sub/space.yaml nor in the working directory"):
        load_space("sub/space.yaml")
    (tmp_path / "mine.yaml").write_text(MINE.format(task="parity"))
    assert load_space("sub/space.yaml").base["task"]["kind"] == "parity"
    (place / "mine.yaml").write_text(MINE.format(task="copy"))
    assert load_space("sub/space.yaml").base["task"]["kind"] == "copy"
    (place / "mine.yaml").write_text(text.format("mine.yaml"))  # a study of the same name as its recipe
    assert load_space("sub/mine.yaml").base["task"]["kind"] == "parity"


def test_modules_beside_the_recipe_are_found_and_loaded_before_overrides_are_held_against_the_schema(
    tmp_path, monkeypatch, forgets
):
    (tmp_path / "language_test_a.py").write_text(PART.format(kind="language_a", other="language_test_b"))
    (tmp_path / "language_test_b.py").write_text("")
    (tmp_path / "mine.yaml").write_text(MINE.format(task="parity"))
    overrides = ["model.core.update.kind=language_a", "imports=[language_test_a]"]
    assert load_recipe(str(tmp_path / "mine.yaml"), overrides).model.core.update.kind == "language_a"


def test_modules_in_the_working_directory_are_found_and_hide_nothing(tmp_path, monkeypatch, forgets):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "language_test_c.py").write_text(PART.format(kind="language_c", other="json"))
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    recipe = load_recipe("gated_loop", ["imports=[language_test_c, json]", "model.core.update.kind=language_c"])
    assert recipe.model.core.update.kind == "language_c"


@pytest.mark.parametrize(
    "name, code, said",
    [
        (".rel", "", "'.rel' is no module's name"),
        ("a..b", "", "'a..b' is no module's name"),
        ("a-b", "", "'a-b' is no module's name"),
        ("language_test_gone", None, "cannot import 'language_test_gone'"),
        ("language_test_d", "def (", "'language_test_d' fails: SyntaxError"),
        ("language_test_e", "x = 1\nx / 0", "ZeroDivisionError: division by zero .*language_test_e.py, line 2"),
        ("language_test_f", "import nothing_such", "ModuleNotFoundError: No module named 'nothing_such'"),
        ("language_test_g", "raise SystemExit(3)", "'language_test_g' fails: SystemExit: 3"),
    ],
)
def test_a_module_that_is_none_is_one_line(tmp_path, monkeypatch, forgets, name, code, said):
    monkeypatch.chdir(tmp_path)
    if code is not None and code:
        (tmp_path / f"{name}.py").write_text(code)
    with pytest.raises(RecipeError, match=f"imports: .*{said}") as caught:
        load_recipe("gated_loop", [f"imports=[{name}]"])
    assert len(caught.value.lines) == 1


def test_another_kind_by_its_path_leaves_behind_what_only_the_earlier_one_has(tmp_path):
    recipe = load_recipe("gated_loop", ["model.core.loops.kind=fixed", "model.core.layer.attention.kind=mha"])
    assert recipe.model.core.loops.model_dump() == {"kind": "fixed", "num_loops": 1, "gradient_window": None}
    assert recipe.model.core.layer.attention.num_heads == 4
    mistaken = MINE.format(task="parity").replace("width: 16", "width: 16, core: {loops: {kind: uniform, num_lops: 3}}")
    (tmp_path / "mine.yaml").write_text(mistaken)
    with pytest.raises(RecipeError, match="did you mean 'num_loops'"):
        load_recipe(str(tmp_path / "mine.yaml"), ["model.core.loops.kind=fixed"])


def test_elements_of_a_list_are_named_by_their_number(tmp_path):
    pair = "training.penalties=[{kind: z_loss, weight: 1.0}, gate_improvement]"
    sizes = ["model.core.halting=gate_cdf", "training.objective=expected", pair]
    recipe = load_recipe("gated_loop", [*sizes, "training.penalties.0.weight=.25", "training.penalties.1=weight_cosine",
                                        "model.core.depth=2", "training.penalties.1.weight=${training.penalties.0.weight}"])  # fmt: skip
    assert [(p.kind, p.weight) for p in recipe.training.penalties] == [("z_loss", 0.25), ("weight_cosine", 0.25)]
    for wrong, said in [
        ("training.penalties.2.weight=1", "is a list, and '2' no element of it; expected a number from 0 to 1"),
        ("training.penalties.first=z_loss", "'first' no element of it"),
        ("training.penalties.0.wieght=1", "did you mean 'weight'"),
        ("training.groups.0.lr=2", "it is empty; set the whole list"),
    ]:
        with pytest.raises(RecipeError, match=said) as caught:
            load_recipe("gated_loop", [*sizes, wrong])
        assert len(caught.value.lines) == 1
    with pytest.raises(RecipeError, match="'00' no element of it"):  # else a search space had two names for a field
        field_at(Recipe, {"training": {"penalties": ["z_loss"]}}, "training.penalties.00.weight", "space")
