"""The contract of a measure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mythos_blocks import Component, contract, declare_slot
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Interval
from mythos_lab.metrics import Metric

declare_slot("measure", "What is measured of a trained model's loops.")


@dataclass(frozen=True)
class Value:
    """One number that a measure came to.

    Attributes:
        quantity: Which of the measure's quantities it is.
        value: The number.
        loop: The iteration that it belongs to, counted from 1 (0 is before the first); ``None`` where it is of no one.
        interval: The 95 % interval, where there is one; a bound on one side is infinite on the other.
        of: What else it is of, such as a level of difficulty: several values of one quantity and loop differ in it.
        note: What shows it, such as a sequence of iterations.
    """

    quantity: str
    value: float
    loop: int | None = None
    interval: Interval | None = None
    of: str = ""
    note: str = ""

    @property
    def metric(self) -> str:
        """Its name as a metric."""
        return re.sub(r"[^\w./ -]", "_", f"{self.quantity}_{self.of}" if self.of else self.quantity)


@dataclass(frozen=True)
class Outcome:
    """What a measure came to.

    Attributes:
        kind: The measure's kind.
        values: Its numbers.
        finding: What they say, in one sentence.
    """

    kind: str
    values: tuple[Value, ...]
    finding: str


@contract("measure")
class Measure(Component):
    """What is measured of a trained model on samples.

    A measure of one's own is a component like any other: its keyword-only constructor parameters are its recipe fields.

    Attributes:
        quantities: What it comes to, with unit and meaning, by name; ``group/name``, as metrics are named.
        source: Where it is defined.
        null: What it reads of a model that does nothing of what it measures.
        deceives: When it says what is not so.
        by_default: Whether runs that declare no measures have it.
    """

    quantities: ClassVar[Mapping[str, Metric]]
    source: ClassVar[str]
    null: ClassVar[str]
    deceives: ClassVar[str]
    by_default: ClassVar[bool] = False

    def refuses(self, subject: Subject) -> str | None:
        """Why it cannot be taken of a model on such samples; ``None`` where it can. Runs no pass of the model."""
        return None

    def measure(self, subject: Subject) -> Outcome:
        """The outcome; the model is in evaluation mode, and is left as it was."""
        raise NotImplementedError

    def outcome(self, finding: str, *values: Value) -> Outcome:
        """What it came to; every value is of a declared quantity."""
        unknown = {value.quantity for value in values} - set(self.quantities)
        assert not unknown, f"{self.kind} declares no {sorted(unknown)}"
        return Outcome(self.kind, values, finding)
