"""A component that its slot's owner could not call is refused where it is registered, in one line."""

import inspect

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info, slots
from tests.blocks.parts import kinds


@pytest.fixture(autouse=True)
def registry():
    before = {name: dict(info.kinds) for name, info in slots().items()}
    yield
    for name, info in slots().items():
        info.kinds.clear()
        info.kinds.update(before[name])


def test_every_slot_of_the_blocks_has_a_contract_but_for_whole_models_cores_and_stacks():
    without = {slot for slot, _ in kinds() if slot_info(slot).contract is None}
    assert without == {"model", "core", "stack"}


METHODS = [
    (slot, name)
    for slot in sorted({slot for slot, _ in kinds()})
    if (base := slot_info(slot).contract) is not None
    for name, member in vars(base).items()
    if inspect.isfunction(member) and not name.startswith("_") and len(inspect.signature(member).parameters) > 1
]


@pytest.mark.parametrize("slot, name", METHODS)
def test_a_method_that_does_not_take_what_it_is_given_is_refused_at_registration(slot, name):
    base = slot_info(slot).contract

    def short(self):
        """Takes nothing."""

    cls = type("Short", (base,), {"__doc__": "Short.", "__init__": lambda self: None, name: short})
    with pytest.raises(ValueError, match=rf"^{slot} 'short': Short.{name} is called with \(") as error:
        mb.component(slot, "short")(cls)
    assert "\n" not in str(error.value)
    assert "short" not in slot_info(slot).kinds


def test_the_iteration_is_part_of_every_contract_that_acts_in_one():
    told = {
        (slot, name)
        for slot, name in METHODS
        if {"t", "frame"} & set(inspect.signature(vars(slot_info(slot).contract)[name]).parameters)
    }
    assert told >= {
        ("injection", "combine"),
        ("injection", "inject"),
        ("injection", "advance"),
        ("update", "forward"),
        ("halting", "observe"),
        ("exit", "observe"),
        ("depth_signal", "forward"),
        ("depth_signal", "transform"),
        ("depth_adapter", "forward"),
        ("norm", "forward"),
        ("attention", "forward"),
        ("feedforward", "forward"),
        ("layer", "forward"),
    }


def test_an_update_of_the_old_form_is_told_what_it_is_called_with():
    class Old(mb.Update):
        """Without the iteration."""

        def __init__(self, width: int) -> None:
            super().__init__()

        def forward(self, h, u, carry=None):
            return u, None

    with pytest.raises(
        ValueError, match=r"called with \(h, u, carry, t\), which \(self, h, u, carry=None\) does not take"
    ):
        mb.component("update", "old")(Old)


def test_a_class_without_a_member_of_the_contract_names_the_base_class():
    class Plain(mb.Module):
        """No update."""

        def __init__(self, width: int) -> None:
            super().__init__()

        def forward(self, h, u, carry, t):
            return u, None

    with pytest.raises(ValueError, match="has no start; derive it from mythos_blocks.update.base.Update"):
        mb.component("update", "plain")(Plain)


@torch.no_grad()
def test_an_injection_that_fades_with_the_iterations_can_be_written():
    @mb.component("injection", "fading")
    class Fading(mb.Injection):
        """The core reads ``h + e / (t + 1)``."""

        def __init__(self, width: int, input_width: int | None = None) -> None:
            super().__init__()

        def combine(self, h, e, signal, t):
            return super().combine(h + e / (t + 1), e, signal, t)

    fading = mb.LoopedTransformer(9, width=16, core={"injection": "fading", "layer": {"attention": "mha"}}).eval()
    plain = mb.LoopedTransformer(9, width=16, core={"injection": "add", "layer": {"attention": "mha"}}).eval()
    plain.load_state_dict(fading.state_dict())
    tokens = torch.arange(6).view(1, 6)
    assert torch.equal(fading(tokens, iterations=1).logits, plain(tokens, iterations=1).logits)
    assert not torch.allclose(fading(tokens, iterations=2).logits, plain(tokens, iterations=2).logits, atol=1e-4)
    assert torch.equal(fading(tokens, iterations=[0, 0]).logits, plain(tokens, iterations=[0, 0]).logits)
