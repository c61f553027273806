"""Whether small changes of the state grow along the loop."""

from __future__ import annotations

import torch

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.jacobian import Jacobian, products, refuses_jacobian, states
from mythos_lab.measures.krylov import lyapunov_exponents
from mythos_lab.measures.samples import rows_of
from mythos_lab.measures.student import interval
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import METRICS


@component("measure", "lyapunov")
class Lyapunov(Measure):
    """The largest local Lyapunov exponents of the evaluated loops: ``(1/T) sum ln diag R_t`` by QR of ``J_t Q_{t-1}``.

    Nats an iteration; above 0 small changes of the state grow.

    Args:
        num_sequences: Sequences that are looked at.
        num_exponents: Exponents of each, k.
    """

    quantities = {"stability/lyapunov": METRICS["stability/lyapunov"]}
    source = "Benettin et al. 1980"
    null = "0 of the identity loop; ln of the factor of a loop that multiplies by one."
    deceives = (
        "T is short: it is the exponent of the loops that run, not of a limit. Positive on hard samples may be work, "
        "not failure: compare at equal difficulty."
    )

    def __init__(self, *, num_sequences: Count = 8, num_exponents: Count = 8) -> None:
        self.num_sequences, self.num_exponents = num_sequences, num_exponents

    def refuses(self, subject: Subject) -> str | None:
        return refuses_jacobian(subject)

    def measure(self, subject: Subject) -> Outcome:
        batch = subject.samples.batches[0]
        batch = rows_of(batch, torch.arange(min(self.num_sequences, len(batch.tokens))))
        first = Jacobian(subject, next(iter(states(subject, batch, 1))))
        start = first.noise(min(self.num_exponents, first.size))
        found = lyapunov_exponents(products(subject, batch, subject.num_loops), start).cpu()
        means = [
            Value(
                "stability/lyapunov",
                float(exponent.mean()),
                interval=interval(exponent.numpy()) if len(exponent) > 1 else None,
                of="" if i == 0 else str(i + 1),
            )
            for i, exponent in enumerate(found.T)
        ]
        largest = means[0].value
        grows = "grows" if largest > 0 else "shrinks"
        return self.outcome(f"a small change of the state {grows} by e^{largest:.3g} an iteration", *means)
