"""Every field of every declaration is bounded: numbers are finite and not beyond what a machine holds, names not empty."""

import math

import pytest
from pydantic import ValidationError

from mythos_blocks import load_plugins
from mythos_blocks.declaring.registry import slots
from mythos_lab.recipe.paths import slot_of
from mythos_lab.recipe.schema import Evaluation, Recipe, Stability, Tracking, Training
from mythos_lab.search.budgets.hold import Hold
from mythos_lab.search.pruners import PRUNERS
from mythos_lab.search.samplers import SAMPLERS
from mythos_lab.search.spaces.definition import StudyFile
from mythos_lab.search.spaces.reading import members_of, types_of

load_plugins()
LAB = [Recipe, Training, Evaluation, Stability, Tracking, StudyFile, Hold]
MODELS = [*LAB, *(cls.Spec for info in slots().values() for cls in info.kinds.values())]
FIELDS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}")
    for model in MODELS
    for name, field in model.model_fields.items()
    if name not in ("kind", "version") and slot_of(field) is None and not members_of(field)
]
FREE = {"max_bytes", "seed", "description"}  # a corpus may be larger than any model; a text may be empty


@pytest.mark.parametrize("model, name", FIELDS)
def test_a_field_takes_no_value_that_no_machine_could_do_with(model, name):
    for value in (10**15, math.inf, -math.inf, math.nan, ""):
        if isinstance(value, int) and float in types_of(model.model_fields[name].annotation):
            continue  # as large as it likes, as long as it is finite
        if name in FREE and (value == "" or isinstance(value, int)):
            continue
        for written in (value, [value]):
            with pytest.raises(ValidationError) as caught:
                model.model_validate({name: written})
            assert any(error["loc"][:1] == (name,) for error in caught.value.errors()), f"{name}: {written!r} is taken"


@pytest.mark.parametrize("catalogue", [SAMPLERS, PRUNERS])
def test_an_option_takes_no_such_value(catalogue):
    for kind, entry in catalogue.entries.items():
        for name, option in entry.options().items():
            for value in (-1, 10**15, math.inf, -math.inf, math.nan):
                if type(value) in option.types:
                    with pytest.raises(ValueError, match=rf"{name}.*expected"):
                        catalogue.read({"kind": kind, name: value})
