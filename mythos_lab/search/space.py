"""Search spaces: which fields of a recipe vary, and how; held against the schema before anything runs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from mythos_blocks import build, load_plugins
from mythos_blocks.registry import lookup, suggest
from mythos_blocks.spec import Declaration
from mythos_blocks.types import Count
from mythos_lab.metrics import known
from mythos_lab.recipe.compose import compose, validate
from mythos_lab.recipe.errors import RecipeError, from_validation
from mythos_lab.recipe.files import find, read_mapping
from mythos_lab.recipe.paths import field_at, set_path, slot_of
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.domains import Choice, Domain, Kinds, Range
from mythos_lab.search.hold import Hold
from mythos_lab.tasks.base import Task

Direction = Literal["minimize", "maximize"]


class StudyFile(Declaration):
    """A search space as written."""

    version: Literal[1] = 1
    name: str = Field(min_length=1, pattern=r"^[\w.-]+$", description="Name of the study.")
    description: str = ""
    recipe: str = Field(description="The recipe that varies.")
    overrides: list[str] = Field([], description="Overrides of the recipe that every trial gets.")
    space: dict[str, Any] = Field(min_length=1, description="Fields that vary, by their path in the recipe.")
    hold: Hold | None = None
    objectives: dict[str, Direction] = Field(min_length=1, description="Metrics, each minimize or maximize.")
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["none", "median", "hyperband"] = "none"
    trials: Count = 20
    workers: Count = 1
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Space:
    """A search space, validated.

    Attributes:
        source: Its file.
        file: Its settings.
        base: The composed recipe that varies.
        domains: What varies, by path.
    """

    source: Path
    file: StudyFile
    base: dict[str, Any]
    domains: dict[str, Domain]

    def candidate(self, trial: Any) -> dict[str, Any]:
        """The composed recipe of a trial, with a value suggested for every field that varies."""
        config = copy.deepcopy(self.base)
        for path, domain in self.domains.items():
            set_path(Recipe, config, path, domain.suggest(trial, path), source=str(self.source))
        return config


def load_space(name: str) -> Space:
    """Load a search space by name or path.

    Raises:
        RecipeError: Anything that is wrong with it or with its recipe, one line a mistake.
    """
    load_plugins()
    source = find("search_spaces", name)
    content = read_mapping(source, "search space")
    try:
        file = StudyFile.model_validate(content)
    except ValidationError as error:
        raise from_validation(source, error) from None
    base = compose(find("recipes", file.recipe), file.overrides)
    recipe = validate(base, f"{source}: recipe {file.recipe}")
    domains = {
        path: _domain(field_at(Recipe, base, path, f"{source}: space"), value, f"{source}: space: {path}")
        for path, value in file.space.items()
    }
    _check_metrics(source, file, base, build(recipe.task))
    return Space(source, file, base, domains)


def _check_metrics(source: Path, file: StudyFile, base: dict[str, Any], task: Task) -> None:
    named = [("objectives", name) for name in file.objectives]
    if file.hold is not None:
        for metric in file.hold.budgets:
            named.append(("hold.budgets", metric))
            if not metric.startswith("cost/"):
                raise RecipeError(f"{source}: hold.budgets: only a cost can be held, and {metric!r} is none")
        for path in file.hold.paths:
            field_at(Recipe, base, path, f"{source}: hold.by")
    for where, name in named:
        try:
            known(name)
        except ValueError as error:
            raise RecipeError(f"{source}: {where}: {error}") from None
    if "val/bits_per_byte" in file.objectives and task.bits_per_byte is None:
        raise RecipeError(f"{source}: objectives: the task {task.kind!r} is no text and has no val/bits_per_byte")
    if file.pruner != "none" and len(file.objectives) > 1:
        raise RecipeError(f"{source}: pruner: Optuna cannot prune studies of several objectives; expected none")


def _domain(field: FieldInfo, value: Any, where: str) -> Domain:
    slot = slot_of(field)
    if not isinstance(value, dict) or not value:
        raise RecipeError(
            f"{where}: expected {{int: [low, high]}}, {{float: [low, high]}}, {{choice: [...]}} or kinds of a component"
        )
    if slot is not None and "choice" not in value:
        return Kinds({kind: _sub_space(slot, kind, sub or {}, where) for kind, sub in value.items()})
    forms = {"int", "float", "choice"} & set(value)
    extra = set(value) - {"int", "float", "choice", "log", "step"}
    if len(forms) != 1 or extra:
        wrong = (
            f"{sorted(extra)[0]!r}; {suggest(sorted(extra)[0], ['int', 'float', 'choice', 'log', 'step'])}"
            if extra
            else sorted(value)
        )
        raise RecipeError(f"{where}: expected one of int, float and choice, found {wrong}")
    form = forms.pop()
    options = {key: item for key, item in value.items() if key != form}
    if not isinstance(value[form], list) or not value[form] or (form != "choice" and len(value[form]) != 2):
        raise RecipeError(
            f"{where}: {form}: expected {'a list' if form == 'choice' else '[low, high]'}, found {value[form]!r}"
        )
    adapter = _adapter(field)
    for bound in value[form]:
        try:
            adapter.validate_python(bound, strict=slot is None)
        except ValidationError as error:
            raise RecipeError(f"{where}: {bound!r} is outside the field: {error.errors()[0]['msg'].lower()}") from None
    if form == "choice":
        return Choice(value[form])
    low, high = value[form]
    if low > high:
        raise RecipeError(f"{where}: {form}: low={low} exceeds high={high}")
    if form == "int" and not (isinstance(low, int) and isinstance(high, int)):
        raise RecipeError(f"{where}: int: expected whole numbers, found {value[form]!r}")
    try:
        return Range(form == "int", low, high, **options)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from None


def _sub_space(slot: str, kind: str, fields: Any, where: str) -> dict[str, Any]:
    try:
        spec: type[BaseModel] = lookup(slot, str(kind)).Spec
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from None
    if not isinstance(fields, dict):
        raise RecipeError(f"{where}: {kind}: expected a mapping of its fields, found {fields!r}")
    known_fields = {name: field for name, field in spec.model_fields.items() if name != "kind"}
    parsed: dict[str, Any] = {}
    for name, value in fields.items():
        field = known_fields.get(name)
        if field is None:
            raise RecipeError(f"{where}.{kind}: unknown field {name!r}; {suggest(name, known_fields)}")
        inside = f"{where}.{kind}.{name}"
        parsed[name] = _domain(field, value, inside) if isinstance(value, dict) else _constant(field, value, inside)
    return parsed


def _constant(field: FieldInfo, value: Any, where: str) -> Any:
    adapter = _adapter(field)
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        raise RecipeError(f"{where}: {value!r}: {error.errors()[0]['msg'].lower()}") from None
    return value


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    """Validates a value of the field alone."""
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)
