"""A component that `mythos new` begins works as it is, in every slot: it loads, keeps the contracts, trains a step."""

import importlib
import math
import sys

import pytest

from mythos_blocks.declaring.registry import slots
from mythos_lab.authoring.component import new_component
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.testing import Case, contracts
from mythos_lab.training.assembly import assemble, effects

SLOTS = sorted(slots())


@pytest.fixture(autouse=True)
def registry():
    before, modules, path = {n: dict(info.kinds) for n, info in slots().items()}, set(sys.modules), list(sys.path)
    yield
    for name, info in slots().items():
        info.kinds.clear()
        info.kinds.update(before[name])
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("begun_"):
            del sys.modules[name]


@pytest.mark.parametrize("slot", SLOTS)
def test_it_is_declared_keeps_its_contracts_and_its_recipe_trains_a_step(slot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind = f"begun_{slot}"
    module, test, recipe = new_component(f"{slot}.{kind}", tmp_path)
    compile(test.read_text(), test, "exec")
    declared = load_recipe(str(recipe), ["training.max_steps=1", "training.batch_size=4"])
    assert sys.modules[kind].__file__ == str(module)
    for contract in contracts(slot):
        contract(Case(slot, kind))
    with assembled_once():
        model, task = assemble(declared)
        assert not [finding for finding in effects(declared, model, task) if not finding.waived]
        learner, batch = Learner.of(declared, model.train()), task.batch("train", range(4))
        numbers = step(learner, batch, begin(learner, 0, batch), shows=True)
    assert math.isfinite(numbers["train/loss"])


@pytest.mark.parametrize(
    "name, said",
    [
        ("injektion.mine", "did you mean 'injection'"),
        ("injection", "expected slot.kind"),
        ("injection.Mine", "expected slot.kind"),
        ("injection.class", "expected slot.kind"),
        ("injection.lti", "is there already, mythos_blocks.injection.lti.LTI"),
        ("injection.json", "Python has a module 'json' already"),
    ],
)
def test_a_name_that_would_not_do_is_one_line_and_nothing_is_written(name, said, tmp_path):
    with pytest.raises(RecipeError, match=said) as error:
        new_component(name, tmp_path)
    assert len(error.value.lines) == 1 and not list(tmp_path.iterdir())


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "fading.yaml").write_text("mine")
    with pytest.raises(RecipeError, match=r"fading.yaml: is there already"):
        new_component("injection.fading", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["fading.yaml"]


def test_a_kind_named_as_its_base_class_has_a_class_of_another_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    new_component("update.update", tmp_path)
    assert importlib.import_module("update").UpdateUpdate.kind == "update"
    del sys.modules["update"]
