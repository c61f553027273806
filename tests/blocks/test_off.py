"""The off kind of a slot is the model without the component, and a knock-out puts it there for a while."""

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slots
from tests.blocks.parts import EVERYTHING, kinds, make, model, randomise, tokens

OFF = {name: info.off for name, info in slots().items() if info.off and name in mb.Loop.Spec.model_fields}
# Exits, gradients and stabilisers do nothing to a pass without a stop, a graph or a step; some policies nothing to a whole
# pass. They have tests of their own.
SILENT = ("exit", "gradient", "stabilizer", "kv_policy")
ON = [(slot, kind) for slot in OFF for _, kind in kinds(slot) if kind != OFF[slot] and slot not in SILENT]

# The rest of the core, so that what is knocked out has something to work on.
REST = {**EVERYTHING, "layer": "pre_norm", "injection": "add"}


def trained(**core):
    built = model(**core)
    randomise(built, std=0.2)
    return built.eval()


def without(built, slot):
    """A model that was declared with the off kind, with the same weights elsewhere."""
    core = built.core.spec.model_dump()
    other = model(**{**{k: v for k, v in core.items() if k != "kind"}, slot: OFF[slot]}).eval()
    weights = {name: value for name, value in built.state_dict().items() if name in other.state_dict()}
    other.load_state_dict(weights)
    return other


def test_every_slot_with_an_off_kind_has_it_registered_and_sits_in_the_core():
    assert len(OFF) >= 6
    for slot, off in OFF.items():
        assert off in slots()[slot].kinds
        assert getattr(model().core, slot).slot == slot


@pytest.mark.parametrize("slot", OFF)
def test_the_off_kind_has_no_parameters_and_is_what_a_core_holds_unless_told(slot):
    unnamed, named = model(), model(**{slot: OFF[slot]})

    off = make(slot, OFF[slot])
    assert not isinstance(off, nn.Module) or list(off.parameters()) == []
    assert getattr(unnamed.core, slot).kind == OFF[slot]
    assert unnamed.spec == named.spec
    assert torch.equal(unnamed.eval()(tokens()).logits, named.eval()(tokens()).logits)


@torch.no_grad()
@pytest.mark.parametrize("slot, kind", ON)
def test_knocked_out_equals_declared_off_for_the_duration_of_the_context(slot, kind):
    built = trained(**{**REST, slot: kind})
    component, before = getattr(built.core, slot), built(tokens()).logits

    with mb.knocked_out(built.core, slot):
        during = built(tokens()).logits
        assert getattr(built.core, slot).kind == OFF[slot]

    assert torch.equal(during, without(built, slot)(tokens()).logits)
    assert not torch.allclose(during, before, atol=1e-4), "the component did nothing to begin with"
    assert getattr(built.core, slot) is component
    assert torch.equal(built(tokens()).logits, before)


@torch.no_grad()
def test_all_components_may_be_knocked_out_at_once():
    built = trained(**REST)

    with mb.knocked_out(built.core, "injection"), mb.knocked_out(built.core, "update"):
        with mb.knocked_out(built.core, "halting"), mb.knocked_out(built.core, "depth_adapter"):
            with mb.knocked_out(built.core, "depth_signal"):
                bare = built(tokens()).logits

    plain = model().eval()
    plain.load_state_dict({k: v for k, v in built.state_dict().items() if k in plain.state_dict()})
    assert torch.equal(bare, plain(tokens()).logits)


def test_the_trained_component_returns_even_after_an_error():
    built = trained(**REST)
    component = built.core.injection

    with pytest.raises(RuntimeError, match="inside"):
        with mb.knocked_out(built.core, "injection"):
            raise RuntimeError("inside")

    assert built.core.injection is component


@pytest.mark.parametrize("training", [True, False])
def test_what_stands_in_is_in_the_mode_of_what_it_replaces(training):
    built = trained(**REST).train(training)

    with mb.knocked_out(built.core, "injection"):
        assert built.core.injection.training is training


def test_a_slot_without_an_off_kind_cannot_be_knocked_out():
    built = model()

    with pytest.raises(ValueError, match="'attention' has no off kind to put in place of 'gqa'"):
        with mb.knocked_out(built.core.layers[0], "attention"):
            pass


def test_one_loop_of_an_off_core_is_a_plain_transformer():
    looped = mb.LoopedTransformer(29, width=32, core={"depth": 3}).eval()
    plain = mb.LoopedTransformer(29, width=32, prelude={"depth": 2}).eval()
    names = {f"core.layers.{i}": f"prelude.layers.{i}" for i in range(2)} | {"core.layers.2": "core.layers.0"}
    weights = {}
    for name, value in looped.state_dict().items():
        old = next((old for old in names if name.startswith(old + ".")), None)
        weights[name if old is None else names[old] + name[len(old) :]] = value
    plain.load_state_dict(weights)

    assert torch.equal(looped(tokens()).logits, plain(tokens()).logits)
