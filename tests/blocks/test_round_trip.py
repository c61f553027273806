"""Every declaration survives JSON, and the JSON Schema and the declaration judge alike."""

import json
from functools import cache

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import mythos_blocks as mb
from mythos_blocks.declaring.construction import context_parameters
from mythos_blocks.declaring.registry import lookup, slot_info
from mythos_blocks.declaring.spec import described_arguments, json_schema
from tests.blocks.parts import CONTEXT, NEEDED, deterministic, kinds

EVERY = kinds()
FIELDS = [(s, k, f) for s, k in EVERY for f in lookup(s, k).Spec.model_fields if f != "kind"]


@cache
def schema():
    """The schema of a model, with definitions for every slot and component."""
    return json_schema(mb.LoopedTransformer.Spec)


def validator(slot, kind):
    return jsonschema.Draft202012Validator({**schema()["$defs"][f"{slot}.{kind}"], "$defs": schema()["$defs"]})


def values(field):
    """Whatever the schema of a field allows, near its bounds too."""
    if "$ref" in field and field["$ref"].count(".") == 0:
        slot = field["$ref"].rsplit("/", 1)[1]
        return st.sampled_from(sorted(slot_info(slot).kinds)).flatmap(
            lambda kind: st.sampled_from(
                [{"kind": kind, **NEEDED[slot, kind]}] if (slot, kind) in NEEDED else [kind, {"kind": kind}]
            )
        )
    if "anyOf" in field:
        return st.one_of(*(values(option) for option in field["anyOf"]))
    if "const" in field:
        return st.just(field["const"])
    if field.get("type") == "array":
        return st.lists(values(field["items"]), min_size=field.get("minItems", 0), max_size=3)
    if field.get("type") == "string" and "enum" not in field:
        return st.sampled_from(["attention.*", "weights.safetensors"])
    if "enum" in field:
        return st.sampled_from(field["enum"])
    if field["type"] == "null":
        return st.none()
    if field["type"] == "boolean":
        return st.booleans()
    if field["type"] == "integer":
        return st.integers(field["minimum"], field.get("maximum", field["minimum"] + 99))
    if field["type"] == "object":
        paths = st.sampled_from(["width", "core.depth"])
        return st.dictionaries(paths, values(field["additionalProperties"]), max_size=2)
    assert field["type"] == "number", field
    return st.floats(
        field.get("minimum", field.get("exclusiveMinimum")),
        field.get("maximum", field.get("exclusiveMaximum")),
        exclude_min="exclusiveMinimum" in field,
        exclude_max="exclusiveMaximum" in field,
        allow_nan=False,
        allow_infinity=False,
    )


@pytest.mark.parametrize("slot, kind", EVERY)
@deterministic
@given(data=st.data())
def test_a_declaration_is_the_same_after_json_and_fits_the_schema(slot, kind, data):
    properties = schema()["$defs"][f"{slot}.{kind}"]["properties"]
    fields = {name: data.draw(values(p), label=name) for name, p in properties.items() if name != "kind"}
    cls = lookup(slot, kind)

    spec = cls.Spec(**fields)
    text = spec.model_dump_json()

    assert cls.Spec.model_validate_json(text) == spec
    assert cls.Spec.model_validate(json.loads(text)) == spec
    assert mb.Slot(slot).resolve(json.loads(text)) == spec
    assert json.loads(text) == spec.model_dump()
    validator(slot, kind).validate(json.loads(text))
    validator(slot, kind).validate({"kind": kind, **fields})


@pytest.mark.parametrize("slot, kind", EVERY)
def test_a_component_carries_the_declaration_from_which_it_can_be_made_again(slot, kind):
    context = CONTEXT.get(slot, (32,))
    made = lookup(slot, kind).Spec(**NEEDED.get((slot, kind), {})).build(*context)

    again = mb.Slot(slot).resolve(json.loads(made.spec.model_dump_json())).build(*made.context)

    assert made.context == context and again.spec == made.spec and type(again) is type(made)


@pytest.mark.parametrize("slot, kind", EVERY)
def test_args_describe_context_and_fields_and_nothing_else(slot, kind):
    cls = lookup(slot, kind)

    described = described_arguments(cls)
    context = {parameter.name for parameter in context_parameters(cls.__init__)}

    assert set(described) == context | set(cls.Spec.model_fields) - {"kind"}
    for name, field in cls.Spec.model_fields.items():
        assert len(field.description) > 5 and described.get(name, field.description) == field.description


@pytest.mark.parametrize("slot, kind, field", FIELDS)
def test_a_value_of_a_wrong_type_is_refused_by_declaration_and_schema(slot, kind, field):
    """Strictly: no text for a number, no truth value for one, no fraction for a count."""
    spec, judge = lookup(slot, kind).Spec, validator(slot, kind)
    default = spec.model_fields[field].default
    options = schema()["$defs"][f"{slot}.{kind}"]["properties"][field]
    types = {option.get("type") for option in options.get("anyOf", [options])}
    wrong = [1.5j, *(["64"] if "string" not in types else []), *([[]] if "array" not in types else [])]
    needed = {name: given for name, given in NEEDED.get((slot, kind), {}).items() if name != field}
    if not isinstance(default, bool) and "boolean" not in types:
        wrong.append(True)
    if not isinstance(default, (float, type(None))) and "number" not in types:
        wrong.append(2.5)
    for value in wrong:
        with pytest.raises(ValidationError) as caught:
            spec(**needed, **{field: value})
        assert caught.value.errors()[0]["loc"][0] == field
        if not isinstance(value, complex):
            assert not judge.is_valid({"kind": kind, **needed, field: value}), value


@pytest.mark.parametrize("slot, kind, field", FIELDS)
def test_a_number_outside_its_range_is_refused_by_declaration_and_schema(slot, kind, field):
    options = schema()["$defs"][f"{slot}.{kind}"]["properties"][field]
    numbers = [o for o in options.get("anyOf", [options]) if o.get("type") in ("integer", "number")]
    outside = [
        bound
        for o in numbers
        for bound in (
            *(o["minimum"] - 1 for _ in [0] if "minimum" in o),
            *(o["maximum"] + 1 for _ in [0] if "maximum" in o),
            *(o[key] for key in ("exclusiveMinimum", "exclusiveMaximum") if key in o),
        )
    ]
    if numbers and numbers[0]["type"] == "integer":
        assert outside, "a whole number without a least value"
    if numbers and numbers[0]["type"] == "number":
        for value in (float("nan"), float("inf"), -float("inf")):
            with pytest.raises(ValidationError):
                lookup(slot, kind).Spec(**{field: value})
    for value in outside:
        with pytest.raises(ValidationError):
            lookup(slot, kind).Spec(**{field: value})
        assert not validator(slot, kind).is_valid({"kind": kind, field: value}), value


@pytest.mark.parametrize("slot, kind", EVERY)
def test_an_unknown_field_is_refused_by_declaration_and_schema(slot, kind):
    fields = [f for f in lookup(slot, kind).Spec.model_fields if f != "kind"]
    typo = fields[0] + "s" if fields else "anything"

    with pytest.raises(ValidationError) as caught:
        lookup(slot, kind).Spec(**{typo: 1})

    (error,) = caught.value.errors()
    assert error["loc"] == (typo,)
    assert not fields or f"did you mean {fields[0]!r}?" in error["msg"]
    assert not validator(slot, kind).is_valid({"kind": kind, typo: 1})


@pytest.mark.parametrize("slot", sorted({slot for slot, _ in EVERY}))
def test_a_misspelt_kind_names_the_nearest(slot):
    for kind in slot_info(slot).kinds:
        typo = kind[:-1] + "_" + kind[-1]
        for value in (typo, {"kind": typo}):
            with pytest.raises(ValidationError, match=f"did you mean '{kind}'"):
                mb.Slot(slot).resolve(value)


def test_a_refusal_by_a_constructor_carries_the_innermost_spec():
    layer = {"attention": {"kind": "mla", "rope_dim": 3}}

    with pytest.raises(mb.BuildError, match="rope_dim=3 must be even; nearest: 2, 4") as caught:
        mb.LoopedTransformer(9, width=16, coda={"depth": 1, "layer": layer})

    assert caught.value.spec == mb.LatentAttention.Spec(rope_dim=3)
    assert isinstance(caught.value.__cause__, ValueError)


def test_specs_make_a_new_component_each_time():
    spec = mb.GroupedQueryAttention.Spec()

    one, other = spec.build(16), spec.build(16)

    assert one is not other and one.q.weight.data_ptr() != other.q.weight.data_ptr()


@pytest.mark.parametrize("slot", sorted({slot for slot, _ in EVERY}))
def test_a_mapping_without_a_kind_means_the_default_kind_where_the_slot_has_one(slot):
    default = slot_info(slot).default
    judge = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{slot}", "$defs": schema()["$defs"]})

    if default is None:
        with pytest.raises(ValueError, match="missing kind"):
            mb.Slot(slot).resolve({})
    else:
        assert mb.Slot(slot).resolve({}).kind == default
    assert judge.is_valid({}) is (default is not None)
