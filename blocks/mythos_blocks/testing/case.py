"""What is held to contracts, and which contracts there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import mythos_blocks as mb
from mythos_blocks.declaring.component import Component, Module
from mythos_blocks.declaring.registry import lookup, slot_info
from mythos_blocks.declaring.spec import slot_of

VOCAB, WIDTH, LOOPS, POSITIONS = 40, 32, 4, 9
"""Sizes of all models that contracts make."""

CONTEXT: dict[str, tuple[Any, ...]] = {
    "model": (VOCAB,),
    "depth_signal": (WIDTH, LOOPS),
    "depth_adapter": (WIDTH, LOOPS),
    "loops": (),
    "kv_policy": (),
    "objective": (),
    "penalty": (),
    "stabilizer": (),
    "interface": (WIDTH, WIDTH),
    "gradient": (mb.Fixed(num_loops=LOOPS),),
    "initialization": (),
}
"""What the parent supplies, by slot; ``(WIDTH,)`` elsewhere. Who declares a slot puts in what its components get."""

IN_LAYER = ("attention", "feedforward", "norm", "depth_attention")
CORE_SLOTS = {name for name, field in mb.Loop.Spec.model_fields.items() if slot_of(field) == name}
MODEL_SLOTS = {n for n, f in mb.LoopedTransformer.Spec.model_fields.items() if slot_of(f) == n} - {"core", "norm"}

PLACES = tuple(sorted({*IN_LAYER, *CORE_SLOTS, *MODEL_SLOTS, "model", "core", "stack", "layer"}))
"""Slots that a model has a place for."""

Contract = Callable[["Case"], None]
C = TypeVar("C", bound=Contract)


@dataclass(frozen=True)
class Case:
    """A component that is held to contracts.

    Attributes:
        slot: Its slot.
        kind: Its name there; its module has been imported.
        fields: Its fields, besides those that have a default.
        core: Further fields of the core that it is tried in, where it needs some.
        objective: What teaches it, where the loss of the last iteration does not reach all of its parameters.
        causal: Whether positions read earlier ones alone; what reads all of them says so.
        off_differs: Whether a model without it computes something else.
    """

    slot: str
    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    core: Mapping[str, Any] = field(default_factory=dict)
    objective: mb.Objective = field(default_factory=mb.Final)
    causal: bool = True
    off_differs: bool = True

    @property
    def cls(self) -> type[Component]:
        """Its class; ``ValueError`` with the nearest kind where it is not registered."""
        return lookup(self.slot, self.kind)

    @property
    def declared(self) -> dict[str, Any]:
        """What a recipe says of it."""
        return {"kind": self.kind, **self.fields}

    @property
    def mask(self) -> mb.AttentionMask:
        """Which positions read which."""
        return mb.AttentionMask(causal=self.causal)

    @property
    def is_module(self) -> bool:
        """Whether it has parameters or buffers."""
        return issubclass(self.cls, Module)

    @property
    def context(self) -> tuple[Any, ...]:
        """What its parent supplies."""
        return CONTEXT.get(self.slot, (WIDTH,))

    def alone(self) -> Any:
        """The component by itself."""
        return self.cls.Spec(**self.fields).build(*self.context)

    def model(self, num_loops: int = 3) -> mb.LoopedTransformer:
        """A small looped model that contains it."""
        return model_with(self.slot, self.declared, num_loops, **self.core)

    def part(self, model: mb.LoopedTransformer) -> Any:
        """The component in a model that contains it."""
        if self.slot in CORE_SLOTS:
            return getattr(model.core, self.slot)
        return getattr(model.core.layers[0], self.slot) if self.slot in IN_LAYER else getattr(model, self.slot)


def model_with(slot: str, declared: Any, num_loops: int = 3, **core: Any) -> mb.LoopedTransformer:
    """A small looped model with a component in its slot.

    Args:
        slot: The slot.
        declared: What stands in it.
        num_loops: Iterations that it trains.
        core: Further fields of the core.
    """
    core = {"loops": {"kind": "fixed", "num_loops": num_loops}, **core}
    prelude: dict[str, Any] = {"depth": 1}
    if slot in IN_LAYER:
        core["layer"] = {"kind": "mixture" if slot == "depth_attention" else "pre_norm", slot: declared}
    elif slot in ("initial_state", "gradient"):
        core |= {slot: declared, "injection": "add"}
    elif slot == "core":
        core = {**declared, "loops": core["loops"]}
    elif slot == "model":
        fields = {name: value for name, value in declared.items() if name != "kind"}
        return lookup("model", declared["kind"]).Spec(**{"width": WIDTH, "core": core, **fields}).build(VOCAB)
    elif slot == "stack":
        prelude = declared
    elif slot in MODEL_SLOTS:
        return mb.LoopedTransformer(VOCAB, width=WIDTH, core=core, **{slot: declared})
    elif slot in CORE_SLOTS:
        core[slot] = declared
    return mb.LoopedTransformer(VOCAB, width=WIDTH, prelude=prelude, core=core)


def tokens(batch: int = 2, seed: int = 0) -> Tensor:
    """Tokens that a model of a case reads, ``(batch, positions)``."""
    return torch.randint(0, VOCAB, (batch, POSITIONS), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def randomise(module: Any, *, seed: int = 0, std: float = 0.3) -> None:
    """Set every parameter to normal numbers, large enough that every effect shows."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters() if isinstance(module, nn.Module) else ():
        parameter.normal_(std=std, generator=generator)


@dataclass(frozen=True)
class _Registered:
    contract: Contract
    slots: tuple[str, ...]


_contracts: list[_Registered] = []


def contract(*slots: str) -> Callable[[C], C]:
    """Make a function of a :class:`Case` a contract of these slots; of all where none is named."""

    def decorate(function: C) -> C:
        _contracts.append(_Registered(function, slots))
        return function

    return decorate


def contracts(slot: str) -> list[Contract]:
    """The contracts of a slot's components; ``ValueError`` with the nearest slot where there is none of that name."""
    slot_info(slot)
    return [each.contract for each in _contracts if not each.slots or slot in each.slots]
