"""From the YAML of a field that varies to its domain, held against the field's own type and bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo

from mythos_blocks.declaring.registry import lookup, slot_info, suggest
from mythos_blocks.declaring.spec import Declaration, slot_of
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.samplers.prior import Prior
from mythos_lab.search.spaces.domains import Choice, Domain, Kinds, Range, Same

ANY = "any"
_FORMS = ("int", "float", "choice", "kinds", "label")
_OPTIONS = ("log", "step", "prior", "confidence", "label")
_HINT = "expected {int: [low, high]}, {float: [low, high]}, {choice: [...]}, kinds of a component, {label: ...} or any"


def read_domain(field: FieldInfo, value: Any, where: str, labels: dict[str, Domain]) -> Domain:
    """The domain that is written for a field.

    Args:
        field: The field of the recipe.
        value: What the search space says of it; ``any`` takes bounds, choices or kinds from the field.
        where: File and path, for errors.
        labels: Domains with a label so far; a new label is added.

    Raises:
        RecipeError: It does not fit the field.
    """
    slot = slot_of(field)
    if value == ANY:
        return _everything(field, slot, where)
    if not isinstance(value, dict) or not value:
        raise RecipeError(f"{where}: {_HINT}")
    if slot is not None and not _is_form(value, slot):
        value = {"kinds": value}
    if set(value) == {"label"}:
        return Same(str(value["label"]), labels)
    form = _form(value, where)
    options = {key: item for key, item in value.items() if key != form}
    label = None if (label := options.pop("label", None)) is None else str(label)
    if label in labels:
        raise RecipeError(
            f"{where}: label {label!r} is defined twice; another field has it with {{label: {label}}} alone"
        )
    common = {"label": label, "prior": _prior(options, where)}
    try:
        domain = _read(form, field, slot, value[form], options, common, where, labels)
    except ValueError as error:
        raise (error if isinstance(error, RecipeError) else RecipeError(f"{where}: {error}")) from None
    if label is not None:
        labels[label] = domain
    return domain


def _read(
    form: str,
    field: FieldInfo,
    slot: str | None,
    written: Any,
    options: dict[str, Any],
    common: dict[str, Any],
    where: str,
    labels: dict[str, Domain],
) -> Domain:
    if form in ("choice", "kinds") and options:
        raise RecipeError(f"{where}: {form}: {next(iter(options))} has no meaning for it")
    if form == "kinds":
        if slot is None:
            raise RecipeError(f"{where}: kinds: the field takes no component")
        kinds = dict.fromkeys(slot_info(slot).kinds) if written == ANY else written
        if not isinstance(kinds, dict) or not kinds:
            raise RecipeError(f"{where}: kinds: expected a mapping of kinds, found {written!r}")
        return Kinds(slot, {k: _sub_space(slot, k, sub or {}, where, labels) for k, sub in kinds.items()}, **common)
    if form == "choice":
        values = members_of(field) if written == ANY else written
        if not isinstance(values, list) or not values:
            raise RecipeError(f"{where}: choice: expected a list, found {written!r}")
        if any(values.index(item) != i for i, item in enumerate(values)):
            raise RecipeError(f"{where}: choice: {values!r} has a value twice")
        return Choice([_valid(field, item, where, strict=slot is None) for item in values], **common)
    if form == "float" and float not in types_of(field.annotation) and int in types_of(field.annotation):
        raise RecipeError(f"{where}: float: the field takes whole numbers; expected {{int: [low, high]}}")
    step = options.get("step", 1)
    if isinstance(step, bool) or not isinstance(step, (int, float)):
        raise RecipeError(f"{where}: step: expected a number, found {step!r}")
    low, high = _bounds(form, field, written, bool(options.get("log")), where)
    if low > high:
        raise RecipeError(f"{where}: {form}: low={low} exceeds high={high}")
    if not isinstance(options.get("log", False), bool):
        raise RecipeError(f"{where}: log: expected true or false, found {options['log']!r}")
    for bound in (low, high):
        _valid(field, bound, where)
    if form == "int" and any(not isinstance(item, int) for item in (low, high, options.get("step", 1))):
        raise RecipeError(f"{where}: int: expected whole numbers, found {written!r}")
    return Range(form == "int", low, high, **options, **common)


def _is_form(value: dict[str, Any], slot: str) -> bool:
    """Whether a mapping for a slot is one of the forms, and not its kinds: ``choice`` is a kind of loop count, too."""
    kinds = slot_info(slot).kinds
    return any(key in _FORMS and not (key in kinds and not isinstance(value[key], list)) for key in value)


def _form(value: dict[str, Any], where: str) -> str:
    forms = [key for key in value if key in _FORMS and key != "label"]
    extra = [key for key in value if key not in (*_FORMS, *_OPTIONS)]
    if extra:
        raise RecipeError(f"{where}: unknown {extra[0]!r}; {suggest(str(extra[0]), (*_FORMS, *_OPTIONS))}")
    if len(forms) != 1:
        raise RecipeError(f"{where}: expected one of int, float, choice and kinds, found {sorted(value)}")
    return forms[0]


def _prior(options: dict[str, Any], where: str) -> Prior | None:
    if "prior" not in options:
        if "confidence" in options:
            raise RecipeError(f"{where}: confidence without a prior has no effect")
        return None
    try:
        return Prior(options.pop("prior"), options.pop("confidence", "medium"))
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from None


def _everything(field: FieldInfo, slot: str | None, where: str) -> Domain:
    if slot is not None:
        return Kinds(slot, {kind: {} for kind in slot_info(slot).kinds})
    if members := members_of(field):
        return Choice(members)
    whole = next((member for member in types_of(field.annotation) if member in (int, float)), None)
    if whole is None:
        raise RecipeError(f"{where}: any: the field has no bounds to search between; {_HINT}")
    return Range(whole is int, *_bounds("int" if whole is int else "float", field, ANY, False, where))


def members_of(field: FieldInfo) -> list[Any]:
    """The values of a field of few: those of a literal, or true and false."""
    members: list[Any] = []
    for type_ in types_of(field.annotation):
        if get_origin(type_) is Literal:
            members += get_args(type_)
        elif type_ is bool:
            members += [False, True]
        elif type_ not in (type(None),):
            return []
    return members


def _bounds(form: str, field: FieldInfo, written: Any, log: bool, where: str) -> tuple[Any, Any]:
    """Both bounds; those that are not given are the field's own."""
    given = [None, None] if written == ANY else written
    if not isinstance(given, list) or len(given) != 2:
        raise RecipeError(f"{where}: {form}: expected [low, high], either of them null for the field's own, or any")
    if any(item is not None and (isinstance(item, bool) or not isinstance(item, (int, float))) for item in given):
        raise RecipeError(f"{where}: {form}: expected numbers, found {written!r}")
    own = _own_bounds(field, form == "int")
    if log and given[0] is None and form == "float":
        own[0] = None  # next to zero is no place to begin a logarithm
    found = [own[i] if bound is None else bound for i, bound in enumerate(given)]
    for name, bound in zip(("lower", "upper"), found, strict=True):
        if bound is None:
            raise RecipeError(f"{where}: {form}: the field has no {name} bound of its own; write one")
    return found[0], found[1]


def _own_bounds(field: FieldInfo, whole: bool) -> list[Any]:
    low: Any = None
    high: Any = None
    for constraint in _constraints(field):
        ge, gt = getattr(constraint, "ge", None), getattr(constraint, "gt", None)
        le, lt = getattr(constraint, "le", None), getattr(constraint, "lt", None)
        low = ge if ge is not None else low
        high = le if le is not None else high
        if gt is not None:
            low = gt + 1 if whole else math.nextafter(gt, math.inf)
        if lt is not None:
            high = lt - 1 if whole else math.nextafter(lt, -math.inf)
    return [low, high]


def _constraints(field: FieldInfo) -> Iterator[Any]:
    """What is said of a field's values, by itself or by a member of its union; nested as pydantic nests it."""
    said = list(field.metadata)
    for member in get_args(field.annotation):
        said += getattr(member, "__metadata__", ())
    for item in said:
        yield from getattr(item, "metadata", ()) if isinstance(item, FieldInfo) else (item,)


def types_of(annotation: Any) -> list[Any]:
    """The types of a field's values: an alias's own type, and all of a union's."""
    if get_origin(annotation) is Annotated:
        return types_of(get_args(annotation)[0])
    if get_origin(annotation) is Literal or not get_args(annotation):
        return [annotation]
    return [type_ for member in get_args(annotation) for type_ in types_of(member)]


def _sub_space(slot: str, kind: str, fields: Any, where: str, labels: dict[str, Domain]) -> dict[str, Any]:
    try:
        spec: type[BaseModel] = lookup(slot, str(kind)).Spec
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from None
    if not isinstance(fields, dict):
        raise RecipeError(f"{where}: {kind}: expected a mapping of its fields, found {fields!r}")
    known = {name: field for name, field in spec.model_fields.items() if name != "kind"}
    parsed: dict[str, Any] = {}
    for name, value in fields.items():
        field = known.get(name)
        if field is None:
            raise RecipeError(f"{where}.{kind}: unknown field {name!r}; {suggest(name, known)}")
        inside = f"{where}.{kind}.{name}"
        varies = isinstance(value, dict) or (value == ANY and ANY not in members_of(field))
        parsed[name] = (
            read_domain(field, value, inside, labels) if varies else _valid(field, value, inside, strict=False)
        )
    return parsed


def _valid(field: FieldInfo, value: Any, where: str, strict: bool = True) -> Any:
    """The value, where the field takes it."""
    annotation: Any = field.annotation
    holder: type[BaseModel] = create_model("Holder", __base__=Declaration, value=(annotation, field))
    try:
        holder.model_validate({"value": value}, strict=strict)
    except ValidationError as error:
        raise RecipeError(f"{where}: {value!r} is outside the field: {error.errors()[0]['msg'].lower()}") from None
    return value
