"""A measure: how far each iteration moves the state."""

from __future__ import annotations

import torch

from mythos_blocks import component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric


@component("measure", "skeleton")
class Skeleton(Measure):
    """The root mean square of the step from one state to the next."""

    quantities = {"skeleton/step": Metric("1", "Root mean square of an iteration's change of the state.")}
    source = "its author"
    null = "0, of a loop that does nothing."
    deceives = "A state may turn in circles: large steps that lead nowhere."

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        return subject.refuses_trajectories()

    def measure(self, subject: Subject) -> Outcome:
        states = torch.cat([trajectory.states for trajectory in subject.trajectories], dim=1)
        steps = (
            (states[1:] - states[:-1]).square().mean((1, 2)).sqrt().tolist()
        )  # (loops + 1, scored, width) to (loops)
        values = [Value("skeleton/step", step, loop) for loop, step in enumerate(steps, 1)]
        return self.outcome(f"The last iteration moves the state by {steps[-1]:.3g}.", *values)
