"""What rounding the core's weights costs, loop by loop."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from mythos_blocks import Loop, component
from mythos_blocks.declaring.types import Count
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.driving import Driver
from mythos_lab.measures.flips import upper_bound
from mythos_lab.measures.jacobian import refuses_jacobian, states
from mythos_lab.measures.samples import rows_of
from mythos_lab.measures.student import interval
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric
from mythos_lab.recipe.rounding import Format, matrices_of, replaced, round_rows
from mythos_lab.tasks.base import Batch

_LEAST = 1e-6  # of the state's norm: below it an error is rounding of its own


@component("measure", "quantisation")
class Quantisation(Measure):
    """What rounding the matrices of the core's layers costs: of the state after each loop, and of the answers.

    Each row of a matrix is rounded to the nearest of evenly spaced numbers (``int8`` to ``int2``) or to e4m3 (``fp8``),
    its largest entry to the format's largest. The tax of a loop is the error that it leaves in the state after the last
    one, relative to that state, where it alone runs rounded. Growth is the factor by which the error of a first loop,
    run rounded, grows in each later one: rho of a linear loop ``h' = A h`` whose A is rho times a rotation.

    Args:
        formats: Which formats.
        num_sequences: Sequences whose states are compared; answers are compared on all samples.
    """

    quantities = {
        "quantisation/error": Metric("1", "Error of the state after a loop, over its norm, where all run rounded."),
        "quantisation/tax": Metric("1", "Error of the last state, over its norm, where this loop alone runs rounded."),
        "quantisation/growth": Metric("1/loop", "Factor by which an error grows from loop to loop."),
        "quantisation/flips": Metric("share", "Answers that change where all loops run rounded."),
        "quantisation/lost": Metric("share", "Accuracy lost there."),
    }
    source = "rounding to nearest by row; e4m3 of arXiv 2209.05433"
    null = "0 of a core whose weights the format holds."
    deceives = (
        "Weights are rounded, and products are not: activations that are rounded too cost more. An error that grows "
        "in directions that the readout does not read costs nothing, which flips show. Rounding can be trained for."
    )

    def __init__(self, *, formats: list[Format] | None = None, num_sequences: Count = 8) -> None:
        self.formats: list[Format] = ["int8", "int4", "fp8"] if formats is None else formats
        self.num_sequences = num_sequences

    def refuses(self, subject: Subject) -> str | None:
        if not matrices_of(subject.model.core):
            return "the core's layers have no matrices"
        return refuses_jacobian(subject)

    @torch.no_grad()
    def measure(self, subject: Subject) -> Outcome:
        batch = subject.samples.batches[0]
        batch = rows_of(batch, torch.arange(min(self.num_sequences, len(batch.tokens))))
        core, num_loops = subject.model.core, subject.num_loops
        plain, answers = _path(subject, batch), _answers(subject)
        own = subject.tally(answers)
        values, said = [], []
        for name in self.formats:
            errors = _relative(_path(subject, batch, name, range(num_loops)), plain)
            values += [_mean("quantisation/error", errors[t], t, name) for t in range(1, num_loops + 1)]
            for t in range(1, num_loops + 1):
                alone = _relative(_path(subject, batch, name, {t - 1}), plain)
                values.append(_mean("quantisation/tax", alone[-1], t, name))
            growth = _growth(_path(subject, batch, name, {0}) - plain, plain)
            if growth is not None:
                values.append(_mean("quantisation/growth", growth, None, name))
            with rounded(core, name):
                changed = _answers(subject)
            flipped, tally = (changed != answers).cpu(), subject.tally(changed)
            flips, bound = float(flipped.float().mean()), upper_bound(flipped, subject.samples.units())
            lost = own.accuracy - tally.accuracy
            values.append(Value("quantisation/flips", flips, interval=(0.0, bound), of=name))
            values.append(Value("quantisation/lost", lost, interval=own.accuracy_gain(tally), of=name))
            grows = "" if growth is None else f", which grows by {float(growth.mean()):.3g} a loop"
            error = float(errors[-1].mean())
            said.append(f"{name} leaves an error of {error:.2g} after {num_loops} loops{grows}, and flips {flips:.1%}")
        return self.outcome("; ".join(said), *values)


def rounded(core: Loop, to: Format) -> AbstractContextManager[None]:
    """Within it, the matrices of a core's layers are rounded, row by row; then they are what they were, to the bit."""
    return replaced(matrices_of(core), lambda weight: round_rows(weight, to))


def _path(subject: Subject, batch: Batch, to: Format | None = None, loops: Collection[int] = ()) -> Tensor:
    """The states before the loop and after each iteration, ``(T + 1, sequences, size)``; some of them run rounded."""
    real = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.real is None else batch.real
    found, coming = [], states(subject, batch, subject.num_loops)
    for place in range(subject.num_loops + 1):  # what is asked for at a place is the state that place - 1 makes
        if to is not None and place - 1 in loops:
            with rounded(subject.model.core, to):
                state = next(coming)
        else:
            state = next(coming)
        found.append((state.h.float() * real[..., None]).flatten(1))
    return torch.stack(found)


def _relative(path: Tensor, plain: Tensor) -> Tensor:
    """Errors over the norm of what they are errors of, ``(T + 1, sequences)``."""
    return (path - plain).norm(dim=2) / plain.norm(dim=2).clamp_min(1e-30)


def _growth(errors: Tensor, plain: Tensor) -> Tensor | None:
    """The factor a loop by which errors grow after the first, ``(sequences,)``: by least squares of their logarithms.

    Loops count as long as every error stands above rounding; ``None`` where two do not.
    """
    size = errors.norm(dim=2)[1:]
    known = (size > _LEAST * plain.norm(dim=2)[1:]).all(1).long().cumprod(0).bool()
    size = size[known]
    if len(size) < 2:
        return None
    t = torch.arange(len(size), dtype=torch.float64) - (len(size) - 1) / 2
    slope = (t[:, None] * size.double().cpu().log()).sum(0) / t.square().sum()
    growth: Tensor = slope.exp()
    return growth


def _mean(name: str, found: Tensor, loop: int | None, of: str) -> Value:
    """The mean over sequences ``(sequences,)``, with Student's interval."""
    return Value(name, float(found.mean()), loop, interval(found.cpu().numpy()) if len(found) > 1 else None, of)


def _answers(subject: Subject) -> Tensor:
    word = tuple(range(subject.num_loops))
    return torch.cat([Driver(subject, batch).answers(word) for batch in subject.samples.batches])
