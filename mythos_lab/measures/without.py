"""What each component of the loop is worth, as a measure of any model."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import component, knocked_out
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.driving import Driver
from mythos_lab.measures.flips import upper_bound
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Tally
from mythos_lab.metrics import Metric

SLOTS = (
    "injection",
    "update",
    "depth_signal",
    "depth_adapter",
    "initial_state",
    "halting",
    "exit",
    "interface",
    "kv_policy",
)
"""Parts of a core that have an off kind and act outside training."""


@component("measure", "knockout")
class Knockout(Measure):
    """Accuracy lost where a component of the loop is replaced by its slot's off kind.

    The interval of what is lost is of the same samples with and without it. A component whose removal flips no answer
    is named inert, with the share that may flip all the same: one-sided, Clopper-Pearson's.
    """

    quantities = {
        "knockout/lost": Metric("share", "Accuracy lost without the component."),
        "knockout/flips": Metric("share", "Answers that change without the component."),
    }
    source = "design of every run; Clopper and Pearson 1934"
    null = "0 of a component that is off."
    deceives = (
        "A component that others have grown around is missed more than it was ever worth; train without it to know. "
        "One that is inert on samples like these may have been needed to train."
    )

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        if not _removable(subject):
            return f"each of {', '.join(SLOTS)} is off already"
        return None

    def measure(self, subject: Subject) -> Outcome:
        own, answers = _answers(subject)
        values, said = [], []
        for slot in _removable(subject):
            with knocked_out(subject.model.core, slot):
                tally, changed = _answers(subject)
            flipped = (changed != answers).cpu()
            flips, bound = float(flipped.float().mean()), upper_bound(flipped, subject.samples.units())
            lost = own.accuracy - tally.accuracy
            values.append(Value("knockout/lost", lost, interval=own.accuracy_gain(tally), of=slot))
            values.append(Value("knockout/flips", flips, interval=(0.0, bound), of=slot))
            worth = f"worth {lost:.1%} of accuracy" if flips else f"inert (at most {bound:.1%} flip)"
            said.append(f"{slot} is {worth}")
        return self.outcome(", ".join(said), *values)


def _removable(subject: Subject) -> list[str]:
    return [slot for slot in SLOTS if _is_on(subject, slot) and _has_place(subject, slot)]


def _is_on(subject: Subject, slot: str) -> bool:
    return bool(getattr(subject.model.core, slot).kind != slot_info(slot).off)


def _has_place(subject: Subject, slot: str) -> bool:
    """Whether the off kind can stand there: where state and input differ in width, some cannot."""
    try:
        with knocked_out(subject.model.core, slot):
            return True
    except ValueError:
        return False


def _answers(subject: Subject) -> tuple[Tally, Tensor]:
    word = tuple(range(subject.num_loops))
    answers = torch.cat([Driver(subject, batch).answers(word) for batch in subject.samples.batches])
    return subject.tally(answers), answers
