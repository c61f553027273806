"""How the steps of the state change along the loop."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mythos_blocks import component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric


@component("measure", "two_scale")
class TwoScale(Measure):
    """Steps ``Delta_t = h_t - h_{t-1}`` at the scored positions: their length, turn and change.

    The length is of the state's, ``|Delta_t| / |h_t|``; the turn is ``cos(Delta_t, Delta_{t-1})``; the change is
    ``|Delta_t - Delta_{t-1}| / |h_t|``.
    """

    quantities = {
        "two_scale/step": Metric("1", "Length of an iteration's step over that of the state."),
        "two_scale/turn": Metric("1", "Cosine between an iteration's step and the one before."),
        "two_scale/change": Metric("1", "Length of the difference of two steps over that of the state."),
    }
    source = "arXiv 2509.23314"
    null = "A step of 0 of the identity loop; turns near 0 of steps in random directions."
    deceives = "It is blind to function: no evidence that iterations differ, or do not, in what they compute."

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        return subject.refuses_trajectories()

    def measure(self, subject: Subject) -> Outcome:
        states = torch.cat([each.states for each in subject.trajectories], 1)
        steps, norms = states[1:] - states[:-1], states[1:].norm(dim=2).clamp_min(1e-12)
        lengths = (steps.norm(dim=2) / norms).mean(1)
        turns = F.cosine_similarity(steps[1:], steps[:-1], dim=2).mean(1)
        changes = ((steps[1:] - steps[:-1]).norm(dim=2) / norms[1:]).mean(1)
        return self.outcome(
            f"the last step is {float(lengths[-1]):.2g} of the state, at a cosine of {float(turns[-1]):.2g} to the one "
            "before (no evidence of what it computes)",
            *(Value("two_scale/step", float(x), t) for t, x in enumerate(lengths, 1)),
            *(Value("two_scale/turn", float(x), t) for t, x in enumerate(turns, 2)),
            *(Value("two_scale/change", float(x), t) for t, x in enumerate(changes, 2)),
        )
