"""The JSON Schema of a study's file, for editors: what can be said without the recipe that varies."""

from __future__ import annotations

from types import NoneType
from typing import Any

from optuna.pruners import BasePruner

from mythos_blocks import Spec
from mythos_blocks.declaring.registry import slots
from mythos_lab.metrics import METRICS
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.imported import IMPORT
from mythos_lab.search.named import Catalogue, Option
from mythos_lab.search.pruners import PRUNERS
from mythos_lab.search.samplers import SAMPLERS
from mythos_lab.search.spaces.definition import StudyFile
from mythos_lab.search.spaces.reading import ANY

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null"}


def study_schema() -> dict[str, Any]:
    """JSON Schema of a study's file."""
    schema = StudyFile.model_json_schema()
    properties = schema["properties"]
    domain, path = {"$ref": "#/$defs/domain"}, {"$ref": "#/$defs/path"}
    properties["space"] |= {"additionalProperties": domain, "propertyNames": path}
    for named in ("arms", "tasks"):
        (pattern, _), *_ = properties[named]["patternProperties"].items()
        properties[named]["patternProperties"] = {pattern: {"type": "object", "propertyNames": path}}
        properties[named]["additionalProperties"] = False
    properties["objectives"]["propertyNames"] = {"$ref": "#/$defs/metric"}
    for name in ("sampler", "pruner"):
        properties[name].pop("anyOf")
        properties[name]["$ref"] = f"#/$defs/{name}"
    schema["$defs"]["Hold"]["properties"]["budgets"]["propertyNames"] = {
        "enum": [name for name in METRICS if name.startswith("cost/")]
    }
    schema["$defs"]["Guard"]["properties"]["metric"] |= {"enum": list(METRICS)}
    schema["$defs"] |= {
        "metric": {"enum": [name for name in METRICS if not name.startswith("test/")]},
        "path": {"pattern": rf"^({'|'.join(Recipe.model_fields)})(\.\w+)*$"},
        "sampler": _chosen(SAMPLERS),
        "pruner": _chosen(PRUNERS),
        **_domains(),
    }
    schema["anyOf"] = [
        {"required": [name], "properties": {name: {"minProperties": 1}}} for name in ("space", "arms")
    ]  # fmt: skip
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _domains() -> dict[str, Any]:
    """What a field may be, in each of its forms, and the kinds of a component with the fields of each."""
    label = {"type": ["string", "number"], "description": "Fields with one label are one parameter."}
    about = {
        "prior": {"description": "Where a good value is believed to be."},
        "confidence": {"enum": ["low", "medium", "high"]},
        "label": label,
    }
    forms = [{"enum": [ANY]}, _form({}, label=label), _form(about, choice=_any_or({"type": "array", "minItems": 1}))]
    for name, kind in (("int", "integer"), ("float", "number")):
        bound = {"type": [kind, "null"]}
        bounds = {"type": "array", "prefixItems": [bound, bound], "minItems": 2, "maxItems": 2}
        ranged = {"log": {"type": "boolean"}, "step": {"type": kind, "exclusiveMinimum": 0}, **about}
        forms.append(_form(ranged, **{name: _any_or(bounds)}))
    kinds = {"$ref": "#/$defs/kinds"}
    forms += [_form(about, kinds=_any_or(kinds)), kinds]
    return {
        "domain": {"anyOf": forms},
        "kinds": {"anyOf": [_kinds(name) for name in slots()], "minProperties": 1},
    }


def _kinds(slot: str) -> dict[str, Any]:
    """Kinds of one slot, and below each the fields of it that vary or are set."""
    kinds = {kind: _fields(component.Spec) for kind, component in slots()[slot].kinds.items()}
    return {"type": "object", "properties": kinds, "additionalProperties": False}


def _fields(spec: type[Spec]) -> dict[str, Any]:
    fields = {name: {"description": f.description or ""} for name, f in spec.model_fields.items() if name != "kind"}
    return {"type": ["object", "null"], "properties": fields, "additionalProperties": False}


def _form(options: dict[str, Any], **required: Any) -> dict[str, Any]:
    properties = {**required, **options}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _any_or(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"enum": [ANY]}, schema]}


def _chosen(catalogue: Catalogue) -> dict[str, Any]:
    """A sampler or a pruner, by name, with options, or by its import path."""
    alone = [kind for kind, entry in catalogue.entries.items() if not any(o.required for o in entry.options().values())]
    imported = {
        "type": "object",
        "properties": {"kind": {"const": IMPORT}, "path": {"type": "string", "pattern": r"^\w+(\.\w+)+$"}},
        "required": ["kind", "path"],
    }
    return {
        "anyOf": [
            {"enum": alone},
            *(_entry(kind, entry.options()) for kind, entry in catalogue.entries.items()),
            imported,
        ]
    }  # fmt: skip


def _entry(kind: str, options: dict[str, Option]) -> dict[str, Any]:
    properties = {name: _option(option) for name, option in options.items()}
    return {
        "type": "object",
        "properties": {"kind": {"const": kind}, **properties},
        "required": ["kind", *(name for name, option in options.items() if option.required)],
        "additionalProperties": False,
    }


def _option(option: Option) -> dict[str, Any]:
    if BasePruner in option.types:
        return {"$ref": "#/$defs/pruner"}
    return {"type": [_TYPES[each] for each in option.types]}
