"""Every system's recipe: valid and buildable at every size, with the published numbers of parameters, and of effect."""

import functools

import pytest

from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.compose import build_on_meta, compose
from mythos_lab.recipe.defaults import choices_for
from mythos_lab.recipe.documents import read_mapping
from mythos_lab.recipe.files import data_dir, names
from mythos_lab.training.assembly import assemble, effects
from tests.lab.recipes import DISTINCT

SIZES = {name: choices_for(data_dir("recipes") / f"{name}.yaml").get("size", []) for name in names("recipes")}
SYSTEMS = [name for name, sizes in SIZES.items() if sizes]

PUBLISHED = {
    ("huginn", "paper"): 3_564_976_800,
    ("parcae", "140m"): 144_323_136,
    ("parcae", "370m"): 388_003_328,
    ("parcae", "paper"): 776_655_680,
    ("parcae", "1.3b"): 1_338_591_744,
}
ABOUT = {  # of what its name says, in billions
    ("openmythos_as_published", "1b"): 1.06,
    ("openmythos_as_published", "paper"): 3.04,
    ("openmythos_as_published", "10b"): 9.98,
    ("openmythos_as_published", "50b"): 50.4,
    ("openmythos_as_published", "100b"): 99.5,
    ("openmythos_as_published", "500b"): 498,
    ("openmythos_as_published", "1t"): 999,
    ("ouro", "paper"): 1.43,
    ("ouro", "2.6b"): 2.67,
    ("nanbeige", "paper"): 4.17,  # 3.15 beside its tables of tokens
    ("hrm", "paper"): 0.0273,
    ("trm", "paper"): 0.00682,
}


@pytest.mark.parametrize("name, size", [(n, s) for n, sizes in SIZES.items() for s in sizes if s != "tiny"])
def test_a_system_is_valid_at_every_size_and_has_as_many_parameters_as_published(name, size):
    num = sum(p.numel() for p in build_on_meta(load_recipe(name, [f"size={size}"]))[0].parameters())
    assert num == PUBLISHED.get((name, size), num)
    assert num / 1e9 == pytest.approx(ABOUT.get((name, size), num / 1e9), rel=0.005)


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_a_size_sets_is_set(name):
    """A recipe's own fields stand above those of its size, which would then do nothing."""
    recipes = data_dir("recipes")
    (usual,) = (
        each["/size"] for each in read_mapping(recipes / f"{name}.yaml", "recipe")["defaults"] if "/size" in each
    )
    for size in SIZES[name]:
        composed = compose(recipes / f"{name}.yaml", [f"size={size}"])
        fields = read_mapping(recipes / "size" / usual.partition("/")[0] / f"{size}.yaml", "size")
        fields.pop("defaults", None)
        for path, value in leaves(fields):
            assert functools.reduce(lambda at, part: at[part], path, composed) == value, (size, ".".join(path))


def leaves(fields, at=()):
    for name, value in fields.items():
        yield from leaves(value, (*at, name)) if isinstance(value, dict) and value else [((*at, name), value)]


@pytest.mark.parametrize(
    "name, unlooped, num",
    [
        ("mixture_of_recursions", ["model.core.depth=30", "model.core.halting=none"], 361_821_120),  # SmolLM-360M
        ("relaxed_recursive", ["model.core.depth=18", "model.core.depth_adapter=none"], 2_506_172_416),  # Gemma 2B
    ],
)
def test_the_layers_of_a_looped_size_are_those_of_the_model_that_it_was_made_from(name, unlooped, num):
    changes = ["size=paper", "model.core.loops={kind: fixed, num_loops: 1}", *unlooped]
    assert sum(p.numel() for p in build_on_meta(load_recipe(name, changes))[0].parameters()) == num


def test_every_system_has_all_sizes_but_those_whose_paper_tells_none():
    without_paper = {"dreamer"}
    for name in SYSTEMS:
        assert set(SIZES[name]) >= {"tiny", "small", *(["paper"] if name not in without_paper else [])}, name


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in DISTINCT])
def test_the_check_of_a_system_is_clean_or_its_recipe_says_what_it_keeps(name):
    text = load_recipe(name).task.kind == "text"
    recipe = load_recipe(name, ["training.batch_size=4", *(["task.length=16", "task.validation_size=8"] * text)])
    assert [finding.message for finding in effects(recipe, *assemble(recipe)) if not finding.waived] == []


def test_a_size_that_a_system_has_not_is_one_line_with_the_nearest():
    with pytest.raises(RecipeError, match="size=smal: no such choice; did you mean 'small'"):
        load_recipe("huginn", ["size=smal"])


def test_a_recipe_elsewhere_brings_a_size_of_its_own_or_of_ours(tmp_path):
    (tmp_path / "size" / "mine").mkdir(parents=True)
    (tmp_path / "size" / "mine" / "wide.yaml").write_text("# @package _global_\nmodel: {width: 40}\n")
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ndefaults: [/task: parity, /size: mine/wide, _self_]\nmask: full\n")
    assert load_recipe(str(path)).model.width == 40
    assert load_recipe(str(path), ["size=wide"]).model.width == 40
    groups = "/system: thinking_deeper, /task: kinship, /training: quick, /size: thinking_deeper_relational/tiny"
    path.write_text(f"name: mine\ndefaults: [{groups}, _self_]\nmask: full\n")
    assert load_recipe(str(path), ["size=small"]).model.width == 256
