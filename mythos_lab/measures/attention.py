"""Which positions attention reads in each iteration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from mythos_blocks import AttentionMask, LoopedTransformer, LoopState, component
from mythos_blocks.attention.base import Attention
from mythos_blocks.declaring.types import Count
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.jacobian import refuses_jacobian, states
from mythos_lab.measures.samples import rows_of
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.untrained import untrained
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE, Batch

Maps = dict[str, list[Tensor]]
"""Of each layer, the maps of all iterations: ``(scored, heads, keys)`` each."""


@component("measure", "attention")
class AttentionMaps(Measure):
    """How attention's maps change from iteration to iteration, of the queries that are scored.

    The change is the share of a query's attention that is elsewhere (half the absolute difference), the mean over heads
    and queries; beside it the entropy of a map.

    Args:
        num_sequences: Sequences that are looked at.
    """

    quantities = {
        "attention/change": Metric("share", "Attention that goes elsewhere than in the iteration before."),
        "attention/entropy": Metric("nats", "Entropy of a query's attention."),
        "attention/untrained_change": Metric("share", "``change`` of an untrained model."),
    }
    source = "arXiv 2604.11791"
    null = "0 of the identity loop; ``untrained_change``."
    deceives = (
        "No evidence that iterations differ, or do not, in what they compute: the same map moves other values, and "
        "another map may move the same."
    )

    def __init__(self, *, num_sequences: Count = 64) -> None:
        self.num_sequences = num_sequences

    def refuses(self, subject: Subject) -> str | None:
        if not _attentions(subject.model):
            return "no layer of the core has attention"
        if subject.num_loops < 2:
            return f"it compares iterations, and {subject.num_loops} runs; expected 2 or more"
        return refuses_jacobian(subject)

    @torch.no_grad()
    def measure(self, subject: Subject) -> Outcome:
        batch = subject.samples.batches[0]
        batch = rows_of(batch, torch.arange(min(self.num_sequences, len(batch.tokens))))
        values, said = [], []
        for name, path in _maps(subject, batch).items():
            for t, each in enumerate(path, 1):
                entropy = float(torch.special.entr(each).sum(-1).mean())
                values.append(Value("attention/entropy", entropy, t, of=name))
            changes = _changes(path)
            values += [Value("attention/change", change, t, of=name) for t, change in changes.items()]
            if changes:
                said.append(f"{list(changes.values())[-1]:.1%} of {name}'s")
        null = _maps(Subject(untrained(subject.model), subject.samples), batch)
        for name, path in null.items():
            changes = _changes(path)
            values += [Value("attention/untrained_change", change, t, of=name) for t, change in changes.items()]
        if not said:
            return self.outcome(
                "no layer's maps can be compared: none attends, or over other keys in each loop", *values
            )
        moved = ", ".join(said)
        return self.outcome(
            f"in the last loop {moved} attention goes elsewhere (no evidence of what it computes)", *values
        )


@dataclass(frozen=True)
class _Watched(AttentionMask):
    """A mask that keeps the maps of what attends under it."""

    into: list[Tensor] = field(default_factory=list)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        scores = q @ k.repeat_interleave(q.shape[1] // k.shape[1], 1).transpose(-1, -2) * scale
        allowed = self.allowed_among(q.shape[2], k.shape[2], q.device)[:, None]
        self.into.append(scores.float().masked_fill(~allowed, -torch.inf).softmax(-1))
        return super().attend(q, k, v, scale)

    def reading(self, readable: Tensor, num_queries: int) -> AttentionMask:
        narrowed = super().reading(readable, num_queries)
        return _Watched(narrowed.causal, narrowed.allowed, self.into)


def _attentions(model: LoopedTransformer) -> dict[str, nn.Module]:
    """The attentions of the core's layers by the name of the layer."""
    return {
        name.removesuffix(".attention").replace("high_layers.", "high_").replace("layers.", "layer_"): module
        for name, module in model.core.named_modules()
        if isinstance(module, Attention)
    }


def _maps(subject: Subject, batch: Batch) -> Maps:
    scored, found = batch.targets != IGNORE, Maps()
    for t, state in enumerate(states(subject, batch, subject.num_loops)):
        if t < subject.num_loops:
            for name, each in _attended(subject.model, state, t).items():
                found.setdefault(name, []).append(each.transpose(1, 2)[scored])
    return found


def _attended(model: LoopedTransformer, state: LoopState, t: int) -> dict[str, Tensor]:
    """The last map of each layer in iteration t, ``(batch, heads, positions, keys)``."""
    mask, kept = state.frame.mask, dict[str, Tensor]()
    watched = _Watched(mask.causal, mask.allowed)
    with _naming(model, watched.into, kept):
        model.core.step(replace(state, frame=replace(state.frame, mask=watched)), t)
    return kept


@contextmanager
def _naming(model: LoopedTransformer, into: list[Tensor], kept: dict[str, Tensor]) -> Iterator[None]:
    """The span in which an attention's map gets its layer's name as soon as it has attended."""

    def name(layer: str) -> None:
        if into:
            kept[layer] = into[-1]
            into.clear()

    hooks = [
        module.register_forward_hook(lambda *_, layer=layer: name(layer))
        for layer, module in _attentions(model).items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _changes(path: list[Tensor]) -> dict[int, float]:
    """By iteration, counted from 1, the change from the one before, where both are over as many keys."""
    pairs = enumerate(zip(path[1:], path[:-1], strict=True), 2)
    return {t: float((a - b).abs().sum(-1).mean() / 2) for t, (a, b) in pairs if a.shape == b.shape}
