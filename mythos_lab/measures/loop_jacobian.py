"""How far one iteration stretches a small change of the state."""

from __future__ import annotations

import torch

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.jacobian import Jacobian, refuses_jacobian, states
from mythos_lab.measures.krylov import largest_eigenvalue
from mythos_lab.measures.samples import rows_of
from mythos_lab.measures.student import interval
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.thinning import spread
from mythos_lab.metrics import METRICS, Metric

_MOST_LOOPS = 16  # that are looked at where none are named


@component("measure", "loop_jacobian")
class LoopJacobian(Measure):
    """sigma_max and rho of ``J = d h_{t+1} / d h_t``, the true Jacobian of an iteration over all positions together.

    sigma_max is the most that one iteration stretches a small change, rho what repeating this iteration would come to.
    Both by Krylov spaces of products with J and its transpose; the means over sequences, in float32.

    Args:
        num_sequences: Sequences that are looked at.
        num_products: Products with J, at most, for each number.
        loops: Iterations to look at, counted from 1; ``null`` takes all up to the evaluated loop count, or 16 of them.
    """

    quantities = {
        "loop_jacobian/sigma_max": Metric("1", "Largest singular value of an iteration's Jacobian."),
        "loop_jacobian/rho": Metric("1", "Spectral radius of an iteration's Jacobian."),
        "stability/sigma_max_J": METRICS["stability/sigma_max_J"],
    }
    source = "Arnoldi 1951; of loops arXiv 2605.26733"
    null = "1 and 1 of the identity loop."
    deceives = (
        "Below 1 the state settles, whether or not it has computed anything; above 1 it may settle all the same, since "
        "sigma_max is of one direction and J changes from state to state."
    )

    def __init__(self, *, num_sequences: Count = 8, num_products: Count = 40, loops: list[Count] | None = None) -> None:
        self.num_sequences, self.num_products, self.loops = num_sequences, num_products, loops

    def refuses(self, subject: Subject) -> str | None:
        last = subject.model.core.last_index
        if self.loops and last is not None and max(self.loops) > last + 1:
            return f"loops={self.loops}, and a table of the core ends after {last + 1} iterations"
        return refuses_jacobian(subject)

    def measure(self, subject: Subject) -> Outcome:
        batch = subject.samples.batches[0]
        batch = rows_of(batch, torch.arange(min(self.num_sequences, len(batch.tokens))))
        chosen = set(self.loops or (1 + t for t in spread(subject.num_loops, _MOST_LOOPS)))
        values, last = [], 0.0
        for t, state in enumerate(states(subject, batch, max(chosen)), 1):
            if t not in chosen:
                continue
            jacobian = Jacobian(subject, state)
            sigma = largest_eigenvalue(jacobian.normal, jacobian.noise(), self.num_products).clamp_min(0).sqrt()
            rho = largest_eigenvalue(jacobian.times, jacobian.noise(), self.num_products)
            for name, found in (("sigma_max", sigma), ("rho", rho)):
                of = interval(found.numpy()) if len(found) > 1 else None
                values.append(Value(f"loop_jacobian/{name}", float(found.mean()), t, of))
            last = float(sigma.mean())
        rhos = [value.value for value in values if value.quantity.endswith("rho")]
        said = f"sigma_max of the last iteration looked at is {last:.3g}; rho from {min(rhos):.3g} to {max(rhos):.3g}"
        return self.outcome(said, *values, Value("stability/sigma_max_J", last))
