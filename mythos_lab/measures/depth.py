"""Quality by loop, and what each component is worth, as measures of any model."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mythos_blocks import component, knocked_out
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.declaring.types import Count
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.depth_curve import loop_counts
from mythos_lab.measures.driving import Driver
from mythos_lab.measures.knockout import SLOTS
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Tally
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE


@component("measure", "depth_curve")
class DepthCurveMeasure(Measure):
    """Accuracy and loss at 1, 2, 4, ... loops, up to ``depth_factor`` times the evaluated loop count.

    The gain of a loop is on the same samples: accuracy less that of the loop count before.

    Args:
        depth_factor: The curve ends at so many times the evaluated loop count.
    """

    quantities = {
        "depth_curve/accuracy": Metric("share", "Answers right at a loop count."),
        "depth_curve/loss": Metric("nats/token", "Cross-entropy of the answers at a loop count."),
        "depth_curve/gain": Metric("share", "Accuracy less that at the loop count before."),
    }
    source = "design of every run"
    null = "Flat, of a loop that does nothing."
    deceives = (
        "A model that was trained at r loops and is bad at fewer looks like test-time scaling; one trained at fewer "
        "may be as good there."
    )

    def __init__(self, *, depth_factor: Count = 4) -> None:
        self.depth_factor = depth_factor

    def measure(self, subject: Subject) -> Outcome:
        last = subject.num_loops * self.depth_factor
        if (end := subject.model.core.last_index) is not None:
            last = min(last, end + 1)
        drivers = [Driver(subject, batch) for batch in subject.samples.batches]
        values, before, best = [], None, (-1.0, 0)
        for count in loop_counts(min(subject.num_loops, last), last):
            tally = _scored(subject, drivers, tuple(range(count)))
            values.append(Value("depth_curve/accuracy", tally.accuracy, count, tally.accuracy_interval()))
            values.append(Value("depth_curve/loss", tally.loss, count, tally.loss_interval()))
            if before is not None:
                gain = tally.accuracy - before.accuracy
                values.append(Value("depth_curve/gain", gain, count, tally.accuracy_gain(before)))
            before, best = tally, max(best, (tally.accuracy, -count))
        return self.outcome(f"accuracy is best at {-best[1]} loops: {best[0]:.1%}", *values)


@component("measure", "knockout")
class Knockout(Measure):
    """Accuracy lost where a component of the loop is replaced by its slot's off kind.

    A component whose removal flips no answer is named inert.
    """

    quantities = {
        "knockout/lost": Metric("share", "Accuracy lost without the component."),
        "knockout/flips": Metric("share", "Answers that change without the component."),
    }
    source = "design of every run"
    null = "0 of a component that is off."
    deceives = (
        "A component that others have grown around is missed more than it was ever worth; train without it to know."
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
            flips = float((changed != answers).float().mean())
            lost = own.accuracy - tally.accuracy
            values.append(Value("knockout/lost", lost, interval=own.accuracy_gain(tally), of=slot))
            values.append(Value("knockout/flips", flips, of=slot))
            said.append(f"{slot} is {'inert' if flips == 0 else f'worth {lost:.1%} of accuracy'}")
        return self.outcome(", ".join(said), *values)


def _removable(subject: Subject) -> list[str]:
    core = subject.model.core
    return [slot for slot in SLOTS if getattr(core, slot).kind != slot_info(slot).off]


def _answers(subject: Subject) -> tuple[Tally, torch.Tensor]:
    word = tuple(range(subject.num_loops))
    answers = torch.cat([Driver(subject, batch).answers(word) for batch in subject.samples.batches])
    return subject.tally(answers), answers


def _scored(subject: Subject, drivers: list[Driver], word: tuple[int, ...]) -> Tally:
    answers, losses = [], []
    for driver, batch in zip(drivers, subject.samples.batches, strict=True):
        logits = driver.logits(word).float()
        answers.append(subject.predicted(logits))
        losses.append(F.cross_entropy(logits, batch.targets[batch.targets != IGNORE], reduction="none"))
    return subject.tally(torch.cat(answers), torch.cat(losses))
