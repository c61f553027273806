"""Whether the answer needs the loop at all, and whether it needs the direction in which the loop moves the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks import ModelOutput, component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE


@dataclass(frozen=True)
class Ends:
    """Both ends of the loop, at all positions.

    Attributes:
        first: What went into it, ``(batch, positions, state_width)``: the input e, or where states are of another width
            the initial state.
        last: What the coda reads.
        real: The positions that count, ``(batch, positions)`` booleans.
    """

    first: Tensor
    last: Tensor
    real: Tensor


Put = Callable[[Ends], Tensor]
"""What the coda is to read instead."""


@torch.no_grad()
def answers_with(subject: Subject, puts: dict[str, Put]) -> dict[str, Tensor]:
    """The answers of all samples where the coda reads something else, and as ``"own"`` the model's."""
    found: dict[str, list[Tensor]] = {name: [] for name in ("own", *puts)}
    for batch in subject.samples.batches:
        out = subject.run(batch, logits_at=batch.targets != IGNORE)
        found["own"].append(subject.predicted(out.logits))
        real = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.real is None else batch.real
        ends = Ends(_first(subject, out), out.halting.readout, real)
        for name, put in puts.items():
            read = subject.read(put(ends).to(ends.last.dtype), out.frame, batch)
            found[name].append(subject.predicted(read))
    return {name: torch.cat(parts) for name, parts in found.items()}


def _first(subject: Subject, out: ModelOutput) -> Tensor:
    e, h = out.state.e, out.state.h
    return e if e.shape == h.shape else subject.model.core.initial_state(e, out.frame)


@component("measure", "substitution")
class Substitution(Measure):
    """Accuracy where the coda reads what went into the loop instead of what came out of it.

    If the answers stay, the loop is idle; of a model at chance accuracy stays too, and answers flip. What is put there
    is the input e, which the initial state mostly is; where states have another width than e, the initial state.
    Zeroing is shown beside it.
    """

    quantities = {
        "substitution/accuracy": Metric("share", "Answers right where the coda reads the loop's input."),
        "substitution/lost": Metric("share", "Accuracy lost by that."),
        "substitution/flips": Metric("share", "Answers, right or wrong, that change by that."),
        "substitution/zeroed_lost": Metric("share", "Accuracy lost where the coda reads zeros: confounded."),
    }
    source = "arXiv 2607.11116 (T1)"
    null = "0 lost by a loop that does nothing, however much zeroing loses."
    deceives = (
        "Something is lost too where the loop only turns the state into what the coda reads. Zeroing loses most where "
        "the loop does nothing: it takes the input away."
    )

    def __init__(self) -> None:
        pass

    def measure(self, subject: Subject) -> Outcome:
        puts: dict[str, Put] = {"input": lambda ends: ends.first, "zeros": lambda ends: torch.zeros_like(ends.last)}
        answers = answers_with(subject, puts)
        tallies = {name: subject.tally(given) for name, given in answers.items()}
        own, read, zeroed = tallies["own"], tallies["input"], tallies["zeros"]
        lost = own.accuracy - read.accuracy
        flips = float((answers["own"] != answers["input"]).float().mean())
        return self.outcome(
            f"{own.accuracy:.1%} of the answers are right, and {read.accuracy:.1%} where the coda reads the loop's "
            f"input, which changes {flips:.1%} of them",
            Value("substitution/accuracy", read.accuracy, interval=read.accuracy_interval()),
            Value("substitution/lost", lost, interval=own.accuracy_gain(read)),
            Value("substitution/flips", flips),
            Value("substitution/zeroed_lost", own.accuracy - zeroed.accuracy, interval=own.accuracy_gain(zeroed)),
        )


@component("measure", "displacement")
class Displacement(Measure):
    """Accuracy where the loop's displacement, from its input to its output, is forced to a matched scale.

    ``matched``: every position moves in its own direction by the mean length. ``random``: every position moves by its
    own length in a random direction. Step size is not taken for work: that shows where the direction matters and the
    length does not.
    """

    quantities = {
        "displacement/matched_lost": Metric("share", "Accuracy lost where all displacements have the mean length."),
        "displacement/random_lost": Metric("share", "Accuracy lost where they have random directions."),
        "displacement/length": Metric("1", "Mean length of the displacement over that of the input."),
    }
    source = "arXiv 2607.11116 (T4)"
    null = "0 lost either way by a loop that moves nothing."
    deceives = (
        "A norm before the head undoes part of what a scale does, so that matched lengths lose little by themselves."
    )

    def __init__(self) -> None:
        pass

    def measure(self, subject: Subject) -> Outcome:
        lengths: list[Tensor] = []

        def matched(ends: Ends) -> Tensor:
            moved = (ends.last - ends.first).float()
            norms = moved.norm(dim=-1, keepdim=True)
            lengths.append((norms[..., 0] / ends.first.float().norm(dim=-1).clamp_min(1e-12))[ends.real])
            return ends.first + moved / norms.clamp_min(1e-12) * norms[ends.real].mean()

        def random(ends: Ends) -> Tensor:
            moved = (ends.last - ends.first).float()
            noise = torch.zeros_like(moved)
            generator = torch.Generator().manual_seed(0)
            drawn = torch.randn(int(ends.real.sum()), moved.shape[-1], generator=generator)
            noise[ends.real] = drawn.to(moved)
            direction = noise / noise.norm(dim=-1, keepdim=True).clamp_min(1e-12)
            return ends.first + direction * moved.norm(dim=-1, keepdim=True)

        found = answers_with(subject, {"matched": matched, "random": random})
        own, at_scale, turned = (subject.tally(found[name]) for name in ("own", "matched", "random"))
        losses = own.accuracy - at_scale.accuracy, own.accuracy - turned.accuracy
        return self.outcome(
            f"of the displacement the direction is worth {losses[1]:.1%} of accuracy, its length {losses[0]:.1%}",
            Value("displacement/matched_lost", losses[0], interval=own.accuracy_gain(at_scale)),
            Value("displacement/random_lost", losses[1], interval=own.accuracy_gain(turned)),
            Value("displacement/length", float(torch.cat(lengths).mean())),
        )
