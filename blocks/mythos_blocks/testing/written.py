"""What is asked of a component as it is written: its fields, its help, what its parent supplies."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from mythos_blocks.declaring.component import Component, Module
from mythos_blocks.declaring.construction import context_parameters
from mythos_blocks.testing.case import PLACES, Case, contract


def fields_of(component: type[Component]) -> set[str]:
    """The keyword-only parameters of a constructor, and of its bases' as far as it passes ``**fields`` on."""
    fields: set[str] = set()
    for base in component.__mro__:
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values() if "__init__" in vars(base) else []
        fields |= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        if parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return fields
    return fields


@contract()
def every_field_is_described_and_round_trips(case: Case) -> None:
    """Its class and its fields say what they are, and what a recipe says of it comes back from JSON."""
    spec = case.cls.Spec
    assert (case.cls.slot, case.cls.kind) == (case.slot, case.kind)
    assert inspect.getdoc(case.cls), f"{case.cls.__name__} has no docstring"
    undescribed = [name for name, field in spec.model_fields.items() if not field.description]
    assert not undescribed, f"the docstring's Args say nothing of {', '.join(undescribed)}"
    assert fields_of(case.cls) == set(spec.model_fields) - {"kind"}
    declared = spec(**case.fields)
    assert spec.model_validate_json(declared.model_dump_json()) == declared


@contract()
def what_its_parent_supplies_goes_by_name_too(case: Case) -> None:
    """It is the same component whether its context is given by place or by name."""
    parameters = context_parameters(case.cls.__init__)
    named = {parameter.name: value for parameter, value in zip(parameters, case.context, strict=False)}
    places = [p.name for p in parameters if p.name in named and p.default is p.empty]
    torch.manual_seed(3)
    by_name = case.cls(**named, **case.fields)
    torch.manual_seed(3)
    rest = {name: value for name, value in named.items() if name not in places}
    by_place = case.cls(*(named[name] for name in places), **rest, **case.fields)
    assert by_name.spec == by_place.spec and by_name.context == by_place.context
    if isinstance(by_name, nn.Module) and isinstance(by_place, nn.Module):
        pairs = zip(by_name.state_dict().items(), by_place.state_dict().values(), strict=True)
        unlike = [name for (name, one), other in pairs if not torch.equal(one, other)]
        assert not unlike, f"{', '.join(unlike)} differ"


@contract(*(slot for slot in PLACES if slot != "model"))
def alone_it_has_the_values_that_it_declares(case: Case) -> None:
    """Constructed by itself, outside of a model, its weights are those that ``reset_parameters`` sets."""
    if not case.is_module:
        return
    torch.manual_seed(0)
    alone = dict(case.alone().named_parameters())
    one, other = (_declared_by(case.alone(), seed) for seed in (1, 2))
    for name, value in alone.items():
        assert value.isfinite().all(), f"{name} holds what is no number"
        if torch.equal(one[name].nan_to_num(), other[name].nan_to_num()):
            fixed = ~one[name].isnan()
            assert torch.equal(value[fixed], one[name][fixed]), f"{name} is not what it is reset to"
        else:  # drawn, by a seed of its own
            assert 0.5 < value.std() / one[name].std() < 2, f"{name} is drawn with another spread than it is reset to"


def _declared_by(module: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """What ``reset_parameters`` sets, by name; NaN elsewhere."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(float("nan"))
        for part in module.modules():
            if isinstance(part, Module):
                part.reset_parameters(torch.Generator().manual_seed(seed))
    return {name: parameter.clone() for name, parameter in module.named_parameters()}
