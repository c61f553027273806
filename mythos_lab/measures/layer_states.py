"""The residual stream after every layer of the loop, and the state after every iteration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks import Frame, LoopedTransformer
from mythos_lab.measures.subject import Subject
from mythos_lab.tasks.base import IGNORE, Batch

STATE = "state"
"""The layer position of the state that an iteration hands on."""

Site = tuple[str, int]
"""A layer position, and the iteration counted from 1; 0 is before the first."""


@dataclass(frozen=True)
class LayerStates:
    """What stands at every site in one pass over a batch.

    Attributes:
        batch: What was read.
        states: By site, ``(batch, positions, state_width)``. A position that has halted keeps what it had.
        frame: The pass's frame.
        logits: Those of the model, ``(scored, vocab_size)``.
    """

    batch: Batch
    states: dict[Site, Tensor]
    frame: Frame
    logits: Tensor


@torch.no_grad()
def layer_states(subject: Subject, *, model: LoopedTransformer | None = None, noise: int = 0) -> Iterator[LayerStates]:
    """The states of every batch of the samples.

    A layer after which the state itself stands is left out: ``state`` is its place.

    Args:
        subject: The model and the samples.
        model: Another one, which reads the same.
        noise: Seed of what components draw.
    """
    core = (model or subject.model).core
    repeated: set[str] | None = None
    for batch in subject.samples.batches:
        initial: list[Tensor] = []
        hook = core.initial_state.register_forward_hook(lambda _, __, h, into=initial: into.append(h))
        try:
            out = subject.run(batch, model=model, noise=noise, record=True, logits_at=batch.targets != IGNORE)
        finally:
            hook.remove()
        found: dict[str, list[Tensor]] = {}
        for t in range(subject.num_loops):
            ran = (out.state.executed > t)[..., None]
            for place, h in out.tape.items():
                if place[0] != "core" or place[1] != t or not _is_state(place[2:]):
                    continue
                before = found.setdefault(layer_name(place[2:]), [])
                before.append(torch.where(ran, h, before[-1]) if before else h)
            for before in found.values():
                before += before[-1:] if len(before) == t else []  # all had halted
        if repeated is None:
            repeated = {name for name, path in found.items() if name != STATE and _same(path, found[STATE])}
        states = {(n, t): h for n, path in found.items() if n not in repeated for t, h in enumerate(path, 1)}
        yield LayerStates(batch, {(STATE, 0): initial[0], **states}, out.frame, out.logits)


def _is_state(rest: tuple[str | int, ...]) -> bool:
    return not rest or isinstance(rest[-1], int)


def layer_name(rest: tuple[str | int, ...]) -> str:
    """A layer position by what follows core and iteration on the tape."""
    if not rest:
        return STATE
    return "_".join(map(str, rest)) if len(rest) > 1 else f"layer_{rest[0]}"


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(bool((h.float() == g.float()).all()) for h, g in zip(some, others, strict=True))
