"""Which experts the loops choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer, LoopState, component
from mythos_blocks.declaring.types import Count
from mythos_blocks.feedforward.routing import RoutedExperts
from mythos_blocks.frame.notes import Notes
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.jacobian import refuses_jacobian, states
from mythos_lab.measures.layer_states import layer_name
from mythos_lab.measures.samples import rows_of
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.untrained import untrained
from mythos_lab.metrics import METRICS, Metric


@component("measure", "experts")
class Experts(Measure):
    """Load of the experts in each iteration, and how routing changes from iteration to iteration.

    ``change`` is on the states as they come, which differ even where the router does not. ``transplanted`` is directed:
    the state that comes to iteration t is given to iteration t - 1 again, and its routing is held against that of
    iteration t on the same state; 0 is one router. Divergences are Jensen and Shannon's of the router's probabilities.

    Args:
        num_sequences: Sequences that are looked at.
    """

    quantities = {
        "experts/load_cv": METRICS["experts/load_cv"],
        "experts/effective": Metric("experts", "Experts of equal load that would be as even: exp of its entropy."),
        "experts/kept": Metric("share", "Chosen experts that were chosen in the iteration before."),
        "experts/visited": Metric("experts", "Different experts that a position visits in all iterations."),
        "experts/change": Metric("nats", "Divergence of a position's routing from that of the iteration before."),
        "experts/transplanted": Metric("nats", "The same on one state, the one that comes to this iteration."),
        "experts/untrained_change": Metric("nats", "``change`` of an untrained model."),
    }
    source = "load: arXiv 2101.03961; diversity over depth: arXiv 2601.21582"
    null = "``transplanted`` 0 of a router that is not told the iteration; ``untrained_change``."
    deceives = (
        "Routing that changes with the state is no other operator: read ``transplanted``. Other experts may do the "
        "same, and one expert something else on another state."
    )

    def __init__(self, *, num_sequences: Count = 64) -> None:
        self.num_sequences = num_sequences

    def refuses(self, subject: Subject) -> str | None:
        if not _routers(subject.model):
            return "no layer of the core has experts"
        return refuses_jacobian(subject)

    @torch.no_grad()
    def measure(self, subject: Subject) -> Outcome:
        own, chosen, moved = self._routing(subject)
        values, said = [], []
        for name, path in own.items():
            picks = chosen[name]  # (T, tokens, active)
            for t, taken in enumerate(picks, 1):
                load = torch.bincount(taken.flatten(), minlength=path.shape[2]).double()
                values.append(Value("experts/load_cv", float(load.std(correction=0) / load.mean()), t, of=name))
                share = load / load.sum()
                values.append(Value("experts/effective", float(torch.special.entr(share).sum().exp()), t, of=name))
            for t in range(2, len(picks) + 1):
                again = (picks[t - 1][:, :, None] == picks[t - 2][:, None, :]).any(2).float().mean()
                values.append(Value("experts/kept", float(again), t, of=name))
                values.append(Value("experts/change", _apart(path[t - 1], path[t - 2]), t, of=name))
                values.append(Value("experts/transplanted", _apart(path[t - 1], moved[name][t - 2]), t, of=name))
            seen = torch.zeros(path.shape[1:], dtype=torch.bool, device=path.device)
            visited = float(seen.scatter(1, picks.transpose(0, 1).flatten(1), True).sum(1).float().mean())
            values.append(Value("experts/visited", visited, of=name))
            said.append(
                f"{name}: a position visits {visited:.3g} of {path.shape[2]} experts, {picks.shape[2]} at a time"
            )
        for name, path in self._routing(subject, untrained(subject.model))[0].items():
            pairs = zip(path[1:], path[:-1], strict=True)
            values += [Value("experts/untrained_change", _apart(*pair), t, of=name) for t, pair in enumerate(pairs, 2)]
        return self.outcome("; ".join(said), *values)

    def _routing(
        self, subject: Subject, model: LoopedTransformer | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """By layer: probabilities ``(T, tokens, experts)``, choices, and probabilities on transplanted states."""
        if model is not None:
            subject = Subject(model, subject.samples)
        batch = subject.samples.batches[0]
        batch = rows_of(batch, torch.arange(min(self.num_sequences, len(batch.tokens))))
        own: dict[str, list[Tensor]] = {}
        picked: dict[str, list[Tensor]] = {}
        moved: dict[str, list[Tensor]] = {}
        for t, state in enumerate(states(subject, batch, subject.num_loops)):
            if t == subject.num_loops:
                break
            for name, (probabilities, chosen) in _routed(subject.model, state, t).items():
                own.setdefault(name, []).append(batch.real_values(probabilities))
                picked.setdefault(name, []).append(batch.real_values(chosen))
            for name, (probabilities, _) in _routed(subject.model, state, t - 1).items() if t else ():
                moved.setdefault(name, []).append(batch.real_values(probabilities))
        stacked = ({name: torch.stack(parts) for name, parts in found.items()} for found in (own, picked, moved))
        first, second, third = stacked
        return first, second, third


def _routers(model: LoopedTransformer) -> list[RoutedExperts]:
    return [module for module in model.core.modules() if isinstance(module, RoutedExperts)]


def _routed(model: LoopedTransformer, state: LoopState, t: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Probabilities ``(batch, positions, experts)`` and choices of iteration t on a state, by layer."""
    frame = replace(state.frame, tape={})
    with _choices(model) as chosen:
        model.core.step(replace(state, frame=frame), t)
    assert isinstance(frame.tape, Notes)
    places = [place for place in frame.tape.held if place[-1] == "router"]
    found = {}
    for place, picks in zip(places, chosen, strict=True):
        probabilities = frame.tape.held[place].float()
        name = layer_name(tuple(step for step in place[2:-1] if step != "feedforward"))
        found[name] = probabilities, picks.view(*probabilities.shape[:2], -1)
    return found


@contextmanager
def _choices(model: LoopedTransformer) -> Iterator[list[Tensor]]:
    """What routers choose while the context is open, ``(tokens, active)`` each, in the order of their turns."""
    chosen: list[Tensor] = []

    def asked(router: RoutedExperts) -> Callable[..., Tensor]:
        def choose(scores: Tensor, real: Tensor | None = None) -> Tensor:
            chosen.append(type(router).choose(router, scores, real))
            return chosen[-1]

        return choose

    routers = _routers(model)
    for router in routers:
        router.choose = asked(router)  # type: ignore[method-assign]
    try:
        yield chosen
    finally:
        for router in routers:
            del router.choose


def _apart(p: Tensor, q: Tensor) -> float:
    """The mean divergence of Jensen and Shannon of distributions ``(tokens, experts)``, in nats."""
    middle = (p + q) / 2
    entropy = torch.special.entr
    return max(0.0, float((entropy(middle) - (entropy(p) + entropy(q)) / 2).sum(-1).mean()))
