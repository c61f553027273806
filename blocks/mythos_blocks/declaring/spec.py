"""From a constructor to its declaration: frozen Pydantic models derived from signatures.

The keyword-only parameters of a component's constructor are its recipe fields. ``derive_spec`` turns
them into a model, and ``Slot`` is the annotation by which a field takes another component, given as
a kind (``"gqa"``), a mapping (``{"kind": "gqa", "num_heads": 8}``) or a spec.
"""

from __future__ import annotations

import importlib
import inspect
import numbers
import operator
import re
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema
from torch import Tensor

from mythos_blocks.declaring.construction import arguments_of
from mythos_blocks.declaring.passed_on import add_arguments, own_signature, show_passed_on
from mythos_blocks.declaring.registry import lookup, slot_info, slots, suggest

if TYPE_CHECKING:
    from mythos_blocks.declaring.component import Component


class Declaration(BaseModel):
    """A frozen model that refuses what it does not know and names the nearest field that it does."""

    # Infinities, NaN and empty texts are refused unless a field declares them.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False, str_min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_fields(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        known = [name for name in cls.model_fields if name != "kind"]
        unknown = [key for key in value if key not in cls.model_fields]
        if unknown:
            raise ValidationError.from_exception_data(
                cls.__name__,
                [
                    _line_error("unknown_field", f"unknown field; {suggest(name, known)}", value[name], str(name))
                    for name in unknown
                ],
            )
        return {name: _plain(given) for name, given in value.items()}


def _plain(value: Any) -> Any:
    """A number as Python's own, whichever library made it: a whole number of NumPy's is no ``int``."""
    if type(value) in (int, float, bool) or isinstance(value, (str, Tensor)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
    if hasattr(value, "__index__"):
        return operator.index(value)
    return float(value) if isinstance(value, numbers.Real) else value


class BuildError(ValueError):
    """A component refused its fields together with their context (``width % num_heads`` and the like).

    Args:
        message: What was refused, in one line.
        spec: The spec that could not be built, by which a recipe finds the path of the mistake.
    """

    def __init__(self, message: str, spec: Spec) -> None:
        super().__init__(message)
        self.spec = spec

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.spec)


class Spec(Declaration):
    """The declaration of one component; ``build`` makes it.

    Each kind has a class of its own, whose fields are the keyword arguments of the component's constructor:
    ``LTI.Spec(margin=0.0).build(64)`` is ``LTI(64, margin=0.0)``.

    Attributes:
        component: The class that it declares.
        kind: That class's name within its slot.
    """

    component: ClassVar[type[Component]]
    kind: str

    def build(self, *context: Any) -> Any:
        """Make the component. ``context`` is what its parent supplies (``width``, ...).

        Raises:
            BuildError: The constructor raised ``ValueError``.
        """
        try:
            places, named = arguments_of(self.component, context)
            return self.component(*places, **named, **self._fields())
        except BuildError:
            raise
        except ValueError as error:
            raise BuildError(str(error), self) from error

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}

    def __reduce__(self) -> Any:
        # As a declaration: by slot and kind, with the module that registers them.
        return _declared, (self.component.__module__, self.component.slot, self.kind, self._fields())


def _declared(module: str, slot: str, kind: str, fields: dict[str, Any]) -> Spec:
    """The spec that was pickled so."""
    if kind not in slot_info(slot).kinds:
        importlib.import_module(module)
    spec: Spec = lookup(slot, kind).Spec(**fields)
    return spec


SpecLike = Union[Spec, str, Mapping[str, Any]]
"""What a slot accepts. Inside a constructor it is always a ``Spec``: registration resolves it first."""


def build(spec: SpecLike, *context: Any) -> Any:
    """Make the component that a constructor received for one of its slots."""
    return as_spec(spec).build(*context)


def as_spec(value: SpecLike) -> Spec:
    """The spec that a validated slot holds, typed as one."""
    assert isinstance(value, Spec), "slots are resolved to specs before a constructor runs"
    return value


# Pydantic resolves "$ref" against its own definitions while it generates, so slots leave a mark instead.
_SLOT_MARK = "mythos-slot"


class Slot:
    """Annotation of a field that takes one component of the named slot.

    Args:
        name: The slot.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def resolve(self, value: Any) -> Spec:
        """A spec from a kind, a mapping or a spec; errors name the nearest valid choice."""
        if isinstance(value, Spec):
            if value.component.slot != self.name:
                raise _custom(f"{value.component.slot} {value.kind!r} does not fit the slot {self.name!r}")
            return value
        if isinstance(value, str):
            return self._spec_type(value).model_validate({})
        if isinstance(value, Mapping):
            kind = value.get("kind", slot_info(self.name).default)
            if kind is None:
                raise _custom(f"missing kind; {suggest('', slot_info(self.name).kinds)}")
            rest = {key: item for key, item in value.items() if key != "kind"}
            return self._spec_type(kind, at=("kind",)).model_validate(rest)
        raise _custom(f"expected the kind of a component or a mapping with one, not {type(value).__name__}")

    def _spec_type(self, kind: Any, at: tuple[str, ...] = ()) -> type[Spec]:
        try:
            return lookup(self.name, kind if isinstance(kind, str) else repr(kind)).Spec
        except ValueError as error:
            raise ValidationError.from_exception_data(
                self.name, [_line_error("unknown_kind", str(error), kind, *at)]
            ) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.resolve,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda spec: spec.model_dump()),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {_SLOT_MARK: self.name}


def slot_of(field: FieldInfo) -> str | None:
    """The slot that a field takes a component of; ``None`` where it takes none, whatever slot bears its name."""
    # A slot that may be left empty is a union, whose members carry what is said of it.
    members = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
    said = [*field.metadata, *(item for member in members for item in getattr(member, "__metadata__", ()))]
    return next((item.name for item in said if isinstance(item, Slot)), None)


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a model, with one definition for every slot and for every component in it."""
    schema = _referring(model.model_json_schema())
    definitions = schema.setdefault("$defs", {})
    for name, info in slots().items():
        kinds = sorted(info.kinds)
        names = {"enum": kinds, "description": info.summary}
        definitions[name] = {"anyOf": [names, *({"$ref": f"#/$defs/{name}.{kind}"} for kind in kinds)]}
        for kind in kinds:
            spec = _referring(info.kinds[kind].Spec.model_json_schema())
            definitions.update(spec.pop("$defs", {}))
            if kind != info.default:
                spec["required"] = ["kind", *spec.get("required", [])]
            definitions[f"{name}.{kind}"] = spec
    return schema


def _referring(schema: Any) -> Any:
    """The schema with a reference to the slot's definition in every place that a slot has marked."""
    if isinstance(schema, list):
        return [_referring(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    slot = {"$ref": f"#/$defs/{schema[_SLOT_MARK]}"} if _SLOT_MARK in schema else {}
    return {**slot, **{key: _referring(value) for key, value in schema.items() if key != _SLOT_MARK}}


def derive_spec(cls: type[Component], kind: str) -> type[Spec]:
    """The spec of a component: one field for each keyword-only parameter of its constructor.

    A constructor that passes ``**fields`` on has those of the base class's constructor too, after its own.
    """
    fields: dict[str, Any] = {"kind": (Literal[kind], Field(default=kind, description=summary(cls)))}
    owners = _constructors(cls)
    described = _described(owners)
    for owner in owners:
        hints = get_type_hints(owner.__init__, include_extras=True)
        for name, parameter in own_signature(owner).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in fields:
                default = ... if parameter.default is parameter.empty else parameter.default
                fields[name] = (hints[name], Field(default=default, description=described.get(name)))
    spec: type[Spec] = create_model(
        f"{cls.__name__}Spec", __base__=Spec, __doc__=summary(cls), __module__=cls.__module__, **fields
    )
    spec.__qualname__ = f"{cls.__qualname__}.Spec"  # where it can be found
    spec.component = cls
    return spec


def _constructors(cls: type) -> list[Any]:
    """The class, and its bases as far as each constructor passes on the fields that it does not name."""
    owners: list[Any] = []
    for owner in cls.__mro__:
        if owner is object:
            break
        if "__init__" not in vars(owner):
            continue
        owners.append(owner)
        parameters = own_signature(owner).parameters.values()
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return owners


def _described(owners: list[Any]) -> dict[str, str]:
    return {name: text for owner in reversed(owners) for name, text in described_arguments(owner).items()}


def complete_help(cls: type[Component]) -> None:
    """Have ``help`` name all that a component's constructor takes, as far as its base classes describe it."""
    show_passed_on(cls.__init__, _constructors(cls)[1:])
    described, own = _described(list(cls.__mro__)), described_arguments(cls)
    taken = [name for name in inspect.signature(cls).parameters if name not in own]
    add_arguments(cls, {name: described[name] for name in taken if name in described})


def summary(cls: type) -> str:
    """The first sentence of a docstring."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def described_arguments(cls: type) -> dict[str, str]:
    """The entries of the ``Args:`` section of a class's docstring, by parameter name."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", inspect.getdoc(cls) or "", flags=re.MULTILINE)
    if section is None:
        return {}
    entries = re.split(r"^ {4}(\w+): ", section.group(1), flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()) for name, text in zip(entries[::2], entries[1::2], strict=True)}


def _line_error(code: str, message: str, value: Any, *loc: str) -> InitErrorDetails:
    return InitErrorDetails(type=_custom(message, code), loc=loc, input=value)


def _custom(message: str, code: str = "component") -> PydanticCustomError:
    # Pydantic formats the message as a template, so its own braces are data.
    return PydanticCustomError(code, "{message}", {"message": message})
