"""Whether the state still moves in what the readout reads."""

from __future__ import annotations

import torch

from mythos_blocks import component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric


@component("measure", "decoder_margin")
class DecoderMargin(Measure):
    """Each iteration's displacement of the state against the readout's margin.

    An answer is settled in an iteration where no logit moves by half of the answer's margin before it: the step could
    not have changed it, however long it was.
    """

    quantities = {
        "decoder_margin/displacement": Metric("1", "Length of an iteration's step over that of the state."),
        "decoder_margin/settled": Metric("share", "Answers that an iteration's step could not have changed."),
    }
    source = "arXiv 2608.18222"
    null = "A displacement of 0 with every answer settled, of the identity loop."
    deceives = "Settled for this readout: another coda, or a later position, may read what still moves."

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        return subject.refuses_trajectories()

    def measure(self, subject: Subject) -> Outcome:
        parts = subject.trajectories
        states = torch.cat([each.states for each in parts], 1)
        margins, moves = (torch.cat([getattr(each, name) for each in parts], 1) for name in ("margins", "moves"))
        displacement = ((states[1:] - states[:-1]).norm(dim=2) / states[1:].norm(dim=2).clamp_min(1e-12)).mean(1)
        settled = (2 * moves <= margins[:-1]).float().mean(1)
        return self.outcome(
            f"the last iteration moves the state by {float(displacement[-1]):.2g} of its length, and could not have "
            f"changed {float(settled[-1]):.0%} of the answers",
            *(Value("decoder_margin/displacement", float(x), t) for t, x in enumerate(displacement, 1)),
            *(Value("decoder_margin/settled", float(x), t) for t, x in enumerate(settled, 1)),
        )
