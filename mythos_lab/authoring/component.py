"""A component of one's own: its module, its test, and a recipe that uses it."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from typing import Any

from mythos_blocks import load_plugins
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.recipe.documents import to_yaml
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import data_dir
from mythos_lab.recipe.outputs import check_writable, write_whole

_KIND = re.compile(r"[a-z][a-z0-9_]{0,59}")
_WIDTH = 32

_MODEL = ("prefix", "position_embedding", "initialization")
_CORE = (
    *("injection", "update", "depth_signal", "depth_adapter", "initial_state", "halting", "exit", "interface"),
    *("kv_policy", "gradient", "stabilizer", "layer", "loops"),
)
_LAYER = ("attention", "feedforward", "norm", "depth_attention")
_TRAINING = ("objective", "optimizer", "schedule")
_PLACES: dict[str, str] = {
    **{slot: f"model.{slot}" for slot in _MODEL},
    **{slot: f"model.core.{slot}" for slot in _CORE},
    **{slot: f"model.core.layer.{slot}" for slot in _LAYER},
    **{slot: f"training.{slot}" for slot in _TRAINING},
    "model": "model.kind",
    "core": "model.core.kind",
    "stack": "model.prelude.kind",
    "penalty": "training.penalties",
    "measure": "measures",
    "task": "task.kind",
    "tokenizer": "task.tokenizer",
    "dataset": "task.dataset",
}
"""Where a recipe has the component of a slot."""

_BESIDE: dict[str, dict[str, Any]] = {
    "initial_state": {"model.core.injection": "add"},  # without one, nothing reads the input but the state
    "depth_attention": {"model.core.layer.kind": "mixture"},
    "stack": {"model.prelude.depth": 1},
    "prefix": {"task.kind": "parity_after_{kind}"},  # which leaves the places that the prefix takes
}
"""What it needs beside it."""


def new_component(name: str, folder: Path) -> list[Path]:
    """Write a component's module, its test and a recipe that uses it.

    Args:
        name: ``slot.kind``, such as ``injection.decayed``.
        folder: Where the three files go.

    Returns:
        Their paths: module, test, recipe.

    Raises:
        RecipeError: There is no such slot, the kind is taken or no name of a module, or a file is there already.
    """
    load_plugins()
    slot, _, kind = name.partition(".")
    try:
        info = slot_info(slot)
    except ValueError as error:
        raise RecipeError(f"{name}: {error}") from None
    if not _KIND.fullmatch(kind) or keyword.iskeyword(kind):
        raise RecipeError(f"{name}: expected slot.kind with a kind of small letters, digits and _, as {slot}.mine")
    if (taken := info.kinds.get(kind)) is not None:
        raise RecipeError(f"{name}: is there already, {taken.__module__}.{taken.__qualname__}; choose another kind")
    files = [folder / f"{kind}.py", folder / f"test_{kind}.py", folder / f"{kind}.yaml"]
    for path in files:
        if path.exists():
            raise RecipeError(f"{path}: is there already; choose another kind, or another folder with --folder")
    if importlib.util.find_spec(kind) is not None:
        raise RecipeError(f"{name}: Python has a module {kind!r} already, which would be found instead of yours")
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = [_module(slot, kind), _test(slot, kind, info.contract is not None), to_yaml(recipe_with(slot, kind))]
    for path, content in zip(files, contents, strict=True):
        write_whole(path, content)
    return files


def _module(slot: str, kind: str) -> str:
    """The skeleton of the slot, under the component's own name."""
    skeleton = (data_dir("skeletons") / f"{slot}.py").read_text()
    name = "".join(part.capitalize() for part in kind.split("_"))
    if re.search(rf"\b{name}\b", skeleton):  # a base class has it
        name = f"{name}{''.join(part.capitalize() for part in slot.split('_'))}"
    return skeleton.replace("Skeleton", name).replace("skeleton", kind)


def _test(slot: str, kind: str, is_of_blocks: bool) -> str:
    package = "mythos_blocks" if is_of_blocks or slot in ("model", "core", "stack") else "mythos_lab"
    return f'''"""The {slot} {kind!r} keeps the contracts of its slot."""

import pytest
from {package}.testing import Case, contracts

import {kind}  # registers it

CASE = Case("{slot}", {kind}.__name__)


@pytest.mark.parametrize("contract", contracts("{slot}"), ids=lambda contract: contract.__name__)
def test_it_keeps_the_contract(contract):
    contract(CASE)
'''


def recipe_with(slot: str, kind: str) -> dict[str, Any]:
    """A small recipe that has the component in its place."""
    group = {"task": [], "prefix": [], "tokenizer": [{"/task": "text"}], "dataset": [{"/task": "text"}]}.get(slot)
    recipe: dict[str, Any] = {
        "version": 1,
        "defaults": [*([{"/task": "parity"}] if group is None else group), {"/training": "quick"}, "_self_"],
        "name": kind,
        "description": f"{slot} {kind} in a small loop.",
        "imports": [kind],
        "model": {"width": _WIDTH, "core": {"loops": {"kind": "uniform", "low": 1, "high": 4}}},
    }
    for path, value in _BESIDE.get(slot, {}).items():
        _put(recipe, path, value.format(kind=kind) if isinstance(value, str) else value)
    _put(recipe, _PLACES[slot], [kind] if slot in ("penalty", "measure") else kind)
    return recipe


def _put(recipe: dict[str, Any], path: str, value: Any) -> None:
    *folders, last = path.split(".")
    for name in folders:
        recipe = recipe.setdefault(name, {})
    recipe[last] = value
