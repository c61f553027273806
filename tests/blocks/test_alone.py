"""A component that is constructed by itself is what it declares, whoever constructs it, and however."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.declaring.construction import context_parameters
from mythos_blocks.declaring.registry import slots
from tests.blocks.parts import CONTEXT, NEEDED, WIDTH, kinds


def named(slot, kind):
    """The class, and all that its constructor needs, by name."""
    cls = slots()[slot].kinds[kind]
    context = zip(context_parameters(cls.__init__), CONTEXT.get(slot, (WIDTH,)), strict=False)
    return cls, {**{parameter.name: value for parameter, value in context}, **NEEDED.get((slot, kind), {})}


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("slot, kind", {slot: (slot, kind) for slot, kind in kinds()}.values())
def test_what_goes_by_name_is_refused_by_place_and_what_is_missing_or_doubled_is_named(slot, kind):
    cls, needed = named(slot, kind)
    parameters = [p for p in context_parameters(cls.__init__) if p.name in needed]
    obvious = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    with pytest.raises(ValueError, match="by place"):
        cls(*(needed[name] for name in obvious), 4)
    for name in obvious:
        with pytest.raises(ValueError, match=f"needs {name}"):
            cls(**{n: v for n, v in needed.items() if n != name})
        with pytest.raises(ValueError, match=f"{obvious[0]} is given twice"):
            cls(*(needed[name] for name in obvious), **{obvious[0]: needed[obvious[0]]})


@pytest.mark.parametrize(
    "part, name, value",
    [
        (lambda: mb.ACT(32), "probability.bias", -3.0),
        (lambda: mb.ACT(32, initial_bias=2.0), "probability.bias", 2.0),
        (lambda: mb.GatedResidual(width=32), "gate.bias", mb.GatedResidual(32).initial_bias),
        (lambda: nn.Sequential(mb.ACT(32))[0], "probability.bias", -3.0),
    ],
)
def test_documented_biases(part, name, value):
    parameter = dict(part().named_parameters())[name]
    assert torch.equal(parameter, torch.full_like(parameter, value))


def test_a_part_of_a_model_is_begun_once_with_the_model():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    with torch.device("meta"):
        mb.LoopedTransformer(29, width=32)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same(mb.LoopedTransformer(29, width=32), mb.LoopedTransformer(vocab_size=29, width=32))


def test_numbers_of_numpy_are_numbers():
    model = mb.LoopedTransformer(
        np.int64(29), width=np.int64(32), core={"loops": {"kind": "fixed", "num_loops": np.int32(2)}}
    )
    assert model.spec == mb.LoopedTransformer.Spec(width=32, core={"loops": {"kind": "fixed", "num_loops": 2}})
    assert mb.ACT(32, initial_bias=np.float32(2.0)).initial_bias == 2.0
    tokens = torch.zeros(1, 3, dtype=torch.long)
    assert model(tokens, iterations=np.int64(2)).num_loops == 2


def test_a_tensor_for_a_mask_is_refused_in_words():
    model = mb.LoopedTransformer(29, width=32)
    with pytest.raises(ValueError, match="mask must be an AttentionMask, not a Tensor; .*allowed"):
        model(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))
