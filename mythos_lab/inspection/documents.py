"""What a recipe or a search space says, as it is written: nothing is composed, followed or imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mythos_lab.inspection.finding import Findings
from mythos_lab.recipe.documents import read_document
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import find
from mythos_lab.recipe.places import is_name
from mythos_lab.recipe.stores import TRACKING_VARIABLE, check_chosen
from mythos_lab.recipe.urls import without_password

_PLACES = (
    "path",
    "file",
    "folder",
    "validation_path",
    "test_path",
    "data_dir",
    "start",
    "teacher",
)  # fields whose text is a place on this machine
_SPACE = {"space", "arms", "objectives"}  # fields that only a study's file has
_TOLD = ("storage", "sampler", "pruner", "tracking", "imports", "description")
_RECIPE = {"model", "task", "training", "defaults"}


def tell_document(found: Findings, path: Path) -> None:
    """Add what a YAML file is and says; errors are those of the reader."""
    content = read_document(path)
    if not isinstance(content, dict):
        found.tell("is", f"{path.name}: YAML, and neither a recipe nor a search space")
    elif _SPACE & set(content):
        _tell_space(found, path, content)
    elif _RECIPE & set(content):
        _tell_recipe(found, path, content)
    else:
        found.tell("is", f"{path.name}: YAML with {', '.join(list(content)[:5])}")
        _tell_values(found, content)


def _tell_space(found: Findings, path: Path, content: Mapping[str, Any]) -> None:
    num_fields, num_arms = (len(content.get(field) or ()) for field in ("space", "arms"))
    found.tell("is", f"{path.name}: a search space; fields that vary: {num_fields}, arms: {num_arms}")
    _tell_name(found, content.get("name"), "studies/{}/")
    for what in ("sampler", "pruner"):
        for module in _paths_to_import(content.get(what)):
            found.tell("imports", f"{module}, for the {what}")
    storage = content.get("storage")
    if isinstance(storage, str):
        _tell_store(found, path, storage, "storage", "--storage")
    else:
        found.tell("writes", "its storage: a journal in the study's folder, or MYTHOS_STORAGE")
    _tell_values(found, {key: value for key, value in content.items() if key not in _TOLD})
    for override in content.get("overrides") or ():
        found.tell("reads", f"override {override}")
    try:
        varied_recipe = find("recipes", str(content.get("recipe")), named_by=path)
    except RecipeError as error:
        found.tell("beware", f"its recipe is not there: {error}")
        return
    found.tell("reads", str(varied_recipe))
    recipe = read_document(varied_recipe)
    if isinstance(recipe, dict):
        _tell_recipe(found, varied_recipe, recipe, of_space=True)


def _tell_recipe(found: Findings, path: Path, content: Mapping[str, Any], of_space: bool = False) -> None:
    found.tell("is", f"{path.name}: a recipe")
    if not of_space:
        _tell_name(found, content.get("name", path.stem), "runs/{}-DATE-ID/")
    imports = content.get("imports") or []
    for module in imports if isinstance(imports, list) else [imports]:
        beside = path.parent / f"{str(module).partition('.')[0]}.py"
        found.tell("imports", f"{module}{', which lies beside it' if beside.exists() else ''}")
    defaults = content.get("defaults") or []
    for each in defaults if isinstance(defaults, list) else [defaults]:
        if isinstance(each, dict):
            each = ", ".join(f"{group}: {choice}" for group, choice in each.items())
        if each != "_self_":
            found.tell("reads", f"the config group {each}")
    tracking = content.get("tracking")
    uri = tracking.get("uri") if isinstance(tracking, dict) else None
    if isinstance(uri, str):
        _tell_store(found, path, uri, "tracking.uri", TRACKING_VARIABLE)
    else:
        found.tell("writes", f"MLflow's store: {TRACKING_VARIABLE}, or mlflow.db in the working directory")
    _tell_values(found, {key: value for key, value in content.items() if key not in _TOLD})


def _tell_name(found: Findings, name: Any, form: str) -> None:
    if is_name(name):
        found.tell("writes", form.format(name))
    else:
        found.tell("beware", f"name: {name!r} is no name, and is refused")


def _tell_store(found: Findings, path: Path, url: str, field: str, said_by: str) -> None:
    shown = without_password(url)
    try:
        check_chosen(url, [], [path.absolute().parent], path.name, "")
    except RecipeError:
        found.tell("beware", f"{field}: {shown} is refused, unless {said_by} says the same")
    if "://" in url and not url.startswith(("sqlite", "journal", "file")):
        found.tell("reaches", f"{shown}, as {field}")
    else:
        found.tell("writes", f"{shown}, as {field}")


def _tell_values(found: Findings, content: Any) -> None:
    for path, value in _texts(content, ()):
        field = ".".join(path)
        if "://" in value:
            found.tell("reaches", f"{without_password(value)}, as {field}")
        elif path and path[-1] in _PLACES:
            found.tell("reads", f"{value}, as {field}")
        elif path[-2:] == ("dataset", "name") or path[-3:] == ("task", "dataset", "name"):
            found.tell("reaches", f"the data set {value}, on this disk or on the hub")
        if "${" in value:
            found.tell("reads", f"what stands at {value}, as {field}")


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, *str(key).split(".")))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)


def _paths_to_import(written: Any) -> Iterator[str]:
    """Import paths in a sampler or a pruner, which may have others as arguments."""
    if not isinstance(written, Mapping):
        return
    if written.get("kind") == "import":
        yield str(written.get("path"))
    for value in written.values():
        yield from _paths_to_import(value)
