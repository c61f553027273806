"""How exactly the state has to be carried from iteration to iteration."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks import LoopedTransformer, ModelOutput, at_site, component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.untrained import untrained
from mythos_lab.metrics import Metric
from mythos_lab.recipe.rounding import rounded_rows
from mythos_lab.tasks.base import IGNORE

Bits = Annotated[int, Field(ge=2, le=16)]


@component("measure", "carry_fidelity")
class CarryFidelity(Measure):
    """Answers that stay where the state is rounded after every iteration, and how far the two trajectories part.

    A position's state is rounded to ``2^bits - 1`` levels, evenly from minus to plus its largest absolute channel.
    ``cells`` are answers; ``whole`` are samples of which every answer stays, since a puzzle with one wrong cell is
    wrong.

    Args:
        bits: Bits of a channel, each tried by itself.
    """

    quantities = {
        "carry_fidelity/cells": Metric("share", "Answers that rounding leaves as they are."),
        "carry_fidelity/whole": Metric("share", "Samples of which rounding leaves every answer as it is."),
        "carry_fidelity/lost": Metric("share", "Accuracy lost by rounding."),
        "carry_fidelity/drift": Metric("1", "Distance of the rounded trajectory from the full one, over its length."),
        "carry_fidelity/untrained_drift": Metric("1", "The same of an untrained model."),
        "carry_fidelity/noise_cells": Metric("share", "Answers that another seed of the noise leaves as they are."),
    }
    source = "arXiv 2606.26488"
    null = "``untrained_drift``; every answer stays, of states on the grid; a drift that stays, of the identity loop."
    deceives = (
        "Rounding by the largest channel punishes a state with one large channel, which a codebook would not. Where a "
        "sample has one answer, cells and whole are the same."
    )

    def __init__(self, *, bits: list[Bits] | None = None) -> None:
        self.bits = bits or [8, 4, 2]

    def refuses(self, subject: Subject) -> str | None:
        return subject.refuses_trajectories()

    @torch.no_grad()
    def measure(self, subject: Subject) -> Outcome:
        full, nothing = _passes(subject, subject.model), untrained(subject.model)
        bare = _passes(subject, nothing)
        own, units = subject.answers(full), subject.samples.units()
        base = subject.tally(own)
        values, said = [], []
        for bits in self.bits:
            rounded, of = _passes(subject, subject.model, bits), f"{bits}_bits"
            answers = subject.answers(rounded)
            same, tally = (answers == own).cpu(), subject.tally(answers)
            flipped = torch.bincount(units, weights=(~same).double())
            cells, whole = float(same.float().mean()), float((flipped == 0).float().mean())
            values += [
                Value("carry_fidelity/cells", cells, of=of),
                Value("carry_fidelity/whole", whole, of=of),
                Value("carry_fidelity/lost", base.accuracy - tally.accuracy, interval=base.accuracy_gain(tally), of=of),
            ]
            for name, pair in (
                ("drift", (rounded, full)),
                ("untrained_drift", (_passes(subject, nothing, bits), bare)),
            ):
                found = _distances(subject, *pair)
                values += [Value(f"carry_fidelity/{name}", x, t, of=of) for t, x in enumerate(found, 1)]
            said.append(f"{cells:.1%} at {bits} bits ({whole:.1%} of whole samples)")
        noise = (subject.answers(_passes(subject, subject.model, noise=1)) == own).float().mean()
        values.append(Value("carry_fidelity/noise_cells", float(noise)))
        return self.outcome(f"of the answers stay {', '.join(said)}", *values)


def rounded_to(h: Tensor, bits: int) -> Tensor:
    """``h`` with every position's channels on an even grid, ``(..., state_width)``."""
    return rounded_rows(h, 2 ** (bits - 1) - 1)


def _passes(subject: Subject, model: LoopedTransformer, bits: int | None = None, noise: int = 0) -> list[ModelOutput]:
    """A pass over each batch, in which the state is rounded after every iteration where ``bits`` are given."""
    found = []
    for batch in subject.samples.batches:
        with at_site(model, "core.state", change=None if bits is None else lambda h: rounded_to(h, bits)):
            scored = batch.targets != IGNORE
            found.append(subject.run(batch, model=model, noise=noise, record=True, logits_at=scored))
    return found


def _distances(subject: Subject, some: list[ModelOutput], others: list[ModelOutput]) -> list[float]:
    """The mean relative distance of two trajectories after each iteration, at the scored positions."""
    apart: list[list[Tensor]] = [[] for _ in range(subject.num_loops)]
    for batch, one, other in zip(subject.samples.batches, some, others, strict=True):
        scored = batch.targets != IGNORE
        for t in range(subject.num_loops):
            h, g = (out.states[min(t, len(out.states) - 1)][scored].float() for out in (one, other))
            apart[t].append((h - g).norm(dim=1) / g.norm(dim=1).clamp_min(1e-12))
    return [float(torch.cat(each).mean()) for each in apart]
