"""What the states of a loop look like, which is no evidence of what iterations do."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer, component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.layer_states import STATE, layer_states
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.thinning import spread
from mythos_lab.measures.untrained import untrained
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE

_MOST = 1000  # states that are looked at
_SAME = 1e-5  # of their length: states that vary no more differ by rounding


@component("measure", "state")
class StateShape(Measure):
    """Norm, effective rank and similarity (linear CKA) of the states after each iteration, at the scored positions.

    The effective rank is ``exp(H)`` of the singular values of the centred states, each over their sum. ``of`` is
    ``untrained`` for those of an untrained model.
    """

    quantities = {
        "state/norm": Metric("1", "Root mean square of a state's channels."),
        "state/effective_rank": Metric("channels", "Directions in which the states of the samples vary."),
        "state/cka": Metric("1", "Linear CKA between the states of an iteration and those of the one before."),
        "state/cka_last": Metric("1", "Linear CKA between the states of an iteration and the last ones."),
        "state/noise": Metric("1", "Distance of states under two seeds of the noise, over their length."),
    }
    source = "Roy and Vetterli 2007; Kornblith et al., arXiv 1905.00414"
    null = "The numbers of an untrained model; a CKA of 1, of the identity loop and of any rotation."
    deceives = (
        "No evidence that iterations differ, or do not, in what they compute: CKA moves at equal function and is blind "
        "to a direction of low variance that bears the answer."
    )

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        if len(subject.targets) < 3:
            return f"{len(subject.targets)} states do not show how they vary; expected 3 or more"
        return subject.refuses_trajectories()

    def measure(self, subject: Subject) -> Outcome:
        path, other = _states(subject), _states(subject, noise=1)
        values = list(_shapes(path, ""))
        apart = ((other - path).norm(dim=2) / path.norm(dim=2).clamp_min(1e-12)).mean(1)
        values += [Value("state/noise", float(x), t) for t, x in enumerate(apart)]
        values += _shapes(_states(subject, untrained(subject.model)), "untrained")
        ranks = {v.loop: v.value for v in values if v.quantity == "state/effective_rank" and not v.of}
        first, last = ranks.get(1, 0.0), ranks.get(subject.num_loops, 0.0)
        return self.outcome(
            f"the states vary in {first:.3g} directions after the first loop, and in {last:.3g} after the last (no "
            "evidence of what loops compute)",
            *values,
        )


def _states(subject: Subject, model: LoopedTransformer | None = None, noise: int = 0) -> Tensor:
    """The states before the first iteration and after each, ``(T + 1, states, state_width)``."""
    parts = [
        torch.stack([seen.states[STATE, t][seen.batch.targets != IGNORE] for t in range(subject.num_loops + 1)], 1)
        for seen in layer_states(subject, model=model, noise=noise)
    ]
    every = torch.cat(parts).float()
    return every[spread(len(every), _MOST)].transpose(0, 1)


def _shapes(path: Tensor, of: str) -> Iterator[Value]:
    centred = path - path.mean(1, keepdim=True)
    for t, (h, c) in enumerate(zip(path, centred, strict=True)):
        yield Value("state/norm", float(h.square().mean(1).sqrt().mean()), t, of=of)
        if float(c.norm()) <= _SAME * float(h.norm()):
            continue
        if (rank := effective_rank(c)) is not None:
            yield Value("state/effective_rank", rank, t, of=of)
        for name, against in (("cka", centred[t - 1] if t else None), ("cka_last", centred[-1])):
            if against is not None and (similarity := cka(c, against)) is not None:
                yield Value(f"state/{name}", similarity, t, of=of)


def effective_rank(centred: Tensor) -> float | None:
    """``exp(H)`` of the singular values over their sum; ``None`` of states that do not vary: ``(states, width)``."""
    singular = torch.linalg.svdvals(centred.double())
    if float(singular.sum()) < 1e-9:
        return None
    shares = singular / singular.sum()
    return float(torch.special.entr(shares).sum().exp())


def cka(x: Tensor, y: Tensor) -> float | None:
    """Linear CKA of centred states ``(states, width)`` of the same samples; ``None`` where either does not vary."""
    x, y = x.double(), y.double()
    lengths = (x.T @ x).norm() * (y.T @ y).norm()
    return None if float(lengths) < 1e-12 else float((x.T @ y).square().sum() / lengths)
