"""The JSON Schema of a recipe as a file says it: parts of it come from its defaults, and values from other places."""

from __future__ import annotations

import copy
from typing import Any

_PARTIAL = "~"  # behind the name of a definition of which the defaults may bring the rest
_REFERENCE = {"$ref": "#/$defs/reference"}
_BRINGS = {"contains": {"not": {"const": "_self_"}}}


def of_files(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of recipes as composed, made into that of files.

    With ``defaults``, no part has to be whole: what a file says of a component is merged into what they bring. A
    reference may stand for any value.
    """
    whole = {key: schema[key] for key in ("properties", "required", "type", "additionalProperties")}
    defaults = {
        "type": "array",
        "description": "Config groups and recipes that this one is composed from, in Hydra's form.",
    }
    whole["properties"] = {"defaults": defaults, **whole["properties"]}
    definitions = _with_references({**schema["$defs"], "recipe": whole})
    definitions |= {f"{name}{_PARTIAL}": _partial(definition) for name, definition in definitions.items()}
    definitions["reference"] = {"type": "string", "pattern": r"\$\{[^}]+\}", "description": "A value from elsewhere."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **{key: value for key, value in schema.items() if key not in (*whole, "$defs")},
        "type": "object",
        "if": {"required": ["defaults"], "properties": {"defaults": _BRINGS}},
        "then": {"$ref": f"#/$defs/recipe{_PARTIAL}"},
        "else": {"$ref": "#/$defs/recipe"},
        "$defs": definitions,
    }


def _partial(definition: Any) -> Any:
    """A definition of which nothing is required, nor anything of what it refers to."""
    if isinstance(definition, list):
        return [_partial(item) for item in definition]
    if not isinstance(definition, dict):
        return definition
    partial = {key: _partial(value) for key, value in definition.items() if key != "required"}
    if "$ref" in partial and partial != _REFERENCE:
        partial["$ref"] += _PARTIAL
    return partial


def _with_references(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions with a reference allowed wherever a value stands."""
    changed = copy.deepcopy(definitions)
    for definition in changed.values():
        if "anyOf" in definition:  # a slot
            definition["anyOf"].append(_REFERENCE)
        properties = definition.get("properties", {})
        for name, value in properties.items():
            if name not in ("kind", "version", "defaults"):
                properties[name] = _or_reference(value)
    return changed


def _or_reference(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type") == "array" and isinstance(value.get("items"), dict):
        value = {**value, "items": _or_reference(value["items"])}
    about = {key: item for key, item in value.items() if key in ("description", "default")}
    said = {key: item for key, item in value.items() if key not in (*about, "title")}
    if "$ref" in said and said["$ref"].rpartition("/")[2].islower():  # a slot has it already
        return {**said, **about}
    return {"anyOf": [said, _REFERENCE], **about}
