"""Whether halting stops where it should."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks import component, knocked_out
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.declaring.types import NoneOrMore
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric
from mythos_lab.recipe.step import updates_of
from mythos_lab.tasks.base import IGNORE, Batch

_RULES = ("halting", "exit")


@component("measure", "halting_audit")
class HaltingAudit(Measure):
    """When positions halt, what the readout weighs, and whether an answer that halted early was right to.

    The same samples are read once more with halting and exits taken out: an early answer is premature where it is wrong
    and the last of all loops would have it right, and rescued the other way round. Where the task's difficulty counts
    steps that follow one another, it is the oracle depth: wasted are iterations beyond it, missing those short of it.

    Args:
        num_classes: Classes of input tokens of which the mean is shown, the most frequent.
    """

    quantities = {
        "halting_audit/ran": Metric("share", "Answers whose position ran so many iterations."),
        "halting_audit/accuracy": Metric("share", "Of those, how many are right."),
        "halting_audit/mass": Metric("share", "Weight of an iteration in the readout, the mean over answers."),
        "halting_audit/mass_left": Metric("share", "1 less the sum of those weights."),
        "halting_audit/mean_loops": Metric("loops", "Iterations of the positions of a class, the mean."),
        "halting_audit/early": Metric("share", "Answers that halted before the evaluated loop count."),
        "halting_audit/early_right": Metric("share", "Answers that halted early and were right."),
        "halting_audit/premature": Metric("share", "Early and wrong, where the last loop would have been right."),
        "halting_audit/rescued": Metric("share", "Early and right, where the last loop would have been wrong."),
        "halting_audit/lost": Metric("share", "Accuracy that halting costs against running all loops."),
        "halting_audit/wasted": Metric("loops", "Iterations beyond the oracle depth, the mean over answers."),
        "halting_audit/missing": Metric("loops", "Iterations short of it."),
    }
    source = "Graves 2016; oracle depth arXiv 2107.05407"
    null = "All answers at the evaluated loop count, nothing early, of a rule that never fires."
    deceives = (
        "A coda that reads mixtures of states may never have read a last state: then what all loops would answer is "
        "off its distribution. The oracle does one step an iteration; a core of several layers may do more."
    )

    def __init__(self, *, num_classes: NoneOrMore = 16) -> None:
        self.num_classes = num_classes

    def refuses(self, subject: Subject) -> str | None:
        if not _rules(subject):
            return "nothing halts: core.halting and core.exit are 'none'"
        if subject.num_loops < 2:
            return f"nothing can halt early in {subject.num_loops} loop"
        return None

    @torch.no_grad()
    def measure(self, subject: Subject) -> Outcome:
        seen = [_seen(subject, batch) for batch in subject.samples.batches]
        ran = torch.cat([each.ran for each in seen])
        right = torch.cat([each.answers for each in seen]) == subject.targets
        with ExitStack() as stack:
            for rule in _rules(subject):
                stack.enter_context(knocked_out(subject.model.core, rule))
            on = [subject.predicted(_pass(subject, batch)[0]) for batch in subject.samples.batches]
        would = torch.cat(on) == subject.targets
        early = ran < subject.num_loops
        told = {
            "early": early,
            "early_right": early & right,
            "premature": early & ~right & would,
            "rescued": early & right & ~would,
        }
        values = [_share(subject, f"halting_audit/{name}", which) for name, which in told.items()]
        own, other = subject.by_unit(right), subject.by_unit(would)
        values.append(
            Value("halting_audit/lost", other.accuracy - own.accuracy, interval=other.accuracy_gain(own)),
        )
        values += _by_count(subject, ran, right)
        mass = torch.cat([each.weights for each in seen], 1).mean(1)
        values += [Value("halting_audit/mass", float(share), t) for t, share in enumerate(mass, 1)]
        values.append(Value("halting_audit/mass_left", 1 - float(mass.sum())))
        values += _by_class(subject, seen, self.num_classes)
        said = f"{_part(early)} of answers halt before {subject.num_loops} loops"
        if early.any():
            said += f", {_part(right[early])} of those right; {_part(told['premature'])} of all answers are premature"
        if subject.samples.difficulty_is_depth:
            excess = ran - subject.difficulties()
            wasted, missing = excess.clamp_min(0), (-excess).clamp_min(0)
            values.append(_mean(subject, "halting_audit/wasted", wasted))
            values.append(_mean(subject, "halting_audit/missing", missing))
            means = f"{float(wasted.mean()):.2g} loops are wasted and {float(missing.mean()):.2g} missing"
            said += f"; against the oracle {means}"
        return self.outcome(said, *values)


@dataclass(frozen=True)
class _Seen:
    """A batch under its rules.

    Attributes:
        answers: ``(scored,)`` tokens.
        ran: Iterations, ``(scored,)``.
        weights: Those of iterations in the readout, ``(T, scored)``.
        every: Iterations of every position, ``(batch, positions)``.
    """

    answers: Tensor
    ran: Tensor
    weights: Tensor
    every: Tensor


def _rules(subject: Subject) -> list[str]:
    core = subject.model.core
    return [rule for rule in _RULES if getattr(core, rule).kind != slot_info(rule).off]


def _pass(subject: Subject, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, weights of iterations in the readout, and iterations run, where something is scored and everywhere."""
    out = subject.run(batch, logits_at=batch.targets != IGNORE)
    return out.logits, torch.stack(out.state.halting.weights), updates_of(out)


def _seen(subject: Subject, batch: Batch) -> _Seen:
    logits, weights, every = _pass(subject, batch)
    scored = batch.targets != IGNORE
    weights = torch.nn.functional.pad(weights, (0, 0, 0, 0, 0, subject.num_loops - len(weights)))
    return _Seen(subject.predicted(logits), every[scored], weights[:, scored].float(), every)


def _by_count(subject: Subject, ran: Tensor, right: Tensor) -> list[Value]:
    values = []
    for t in range(1, subject.num_loops + 1):
        here = ran == t
        values.append(Value("halting_audit/ran", float(here.float().mean()), t))
        if here.any():
            values.append(Value("halting_audit/accuracy", float(right[here].float().mean()), t))
    return values


def _by_class(subject: Subject, seen: list[_Seen], num_classes: int) -> list[Value]:
    """Mean iterations of all positions that are no padding, by difficulty, by slice and by input token."""
    batches = subject.samples.batches
    ran = torch.cat([batch.real_values(each.every) for batch, each in zip(batches, seen, strict=True)])
    values = [Value("halting_audit/mean_loops", float(ran.mean()))]
    tokens = torch.cat([batch.real_values(batch.tokens) for batch in batches])
    kinds, counts = tokens.unique(return_counts=True)
    frequent = kinds[counts.argsort(descending=True, stable=True)[:num_classes]].sort().values
    axes = {"token": (tokens, frequent)}
    named = {subject.samples.difficulty_name or "difficulty": [batch.difficulty for batch in batches]}
    for name in batches[0].slices:
        named[name] = [batch.slices.get(name) for batch in batches]
    for name, found in named.items():
        known = [each for each in found if each is not None]
        if len(known) == len(batches):
            of = torch.cat(
                [batch.real_values(batch.per_position(each)) for batch, each in zip(batches, known, strict=True)]
            )
            axes[name] = (of, of.unique())
    for name, (of, kinds) in axes.items():
        for kind in kinds.tolist():
            values.append(Value("halting_audit/mean_loops", float(ran[of == kind].mean()), of=f"{name} {kind}"))
    return values


def _share(subject: Subject, name: str, which: Tensor) -> Value:
    tally = subject.by_unit(which)
    return Value(name, tally.accuracy, interval=tally.accuracy_interval())


def _mean(subject: Subject, name: str, values: Tensor) -> Value:
    """The mean of a number of each answer, with its interval over units."""
    tally = subject.by_unit(torch.zeros(len(values)), values)
    return Value(name, tally.loss, interval=tally.loss_interval())


def _part(which: Tensor) -> str:
    return f"{float(which.float().mean()):.1%}"
