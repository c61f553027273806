"""Whether more iterations go to harder samples, or to longer ones."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.commit import commit_iterations
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE


@component("measure", "difficulty")
class Difficulty(Measure):
    """Rank correlation (Spearman's) of iterations with difficulty, and with the length of the sample beside it.

    Iterations are those that a position runs before it halts, where that varies; and those until its answer is decided.
    """

    quantities = {
        "difficulty/halting": Metric("1", "Correlation of iterations before halting with difficulty."),
        "difficulty/halting_length": Metric("1", "Correlation of iterations before halting with length."),
        "difficulty/mean_loops": Metric("loops", "Iterations before halting at a level of difficulty, the mean."),
        "difficulty/commit": Metric("1", "Correlation of the commit iteration with difficulty."),
        "difficulty/commit_length": Metric("1", "Correlation of the commit iteration with length."),
    }
    source = "arXiv 2607.11116 (T3)"
    null = "0 of iterations that have nothing to do with the sample."
    deceives = "Where length and difficulty go together, halting that counts length looks like halting that knows."

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        return subject.refuses_difficulties() or subject.refuses_trajectories()

    def measure(self, subject: Subject) -> Outcome:
        from scipy import stats  # which every worker would start with

        name = subject.samples.difficulty_name
        axes = {"": subject.difficulties(), "_length": _lengths(subject)}
        ran = {
            "halting": torch.cat([each.num_updates for each in subject.trajectories]),
            "commit": torch.cat([commit_iterations(each.answers) for each in subject.trajectories]),
        }
        values = [
            Value(f"difficulty/{name}{end}", float(stats.spearmanr(x.cpu(), axis.cpu()).statistic))
            for name, x in ran.items()
            for end, axis in axes.items()
            if len(x.unique()) > 1 and len(axis.unique()) > 1
        ]
        levels = axes[""]
        means = [
            Value("difficulty/mean_loops", float(ran["halting"][levels == level].float().mean()), of=f"{name}={level}")
            for level in levels.unique().tolist()
            if len(ran["halting"].unique()) > 1
        ]
        said = ", ".join(f"{value.quantity.partition('/')[2]} {value.value:.2g}" for value in values)
        return self.outcome(f"rank correlations: {said}" if said else "no number of iterations varies", *values, *means)


def _lengths(subject: Subject) -> Tensor:
    """Positions of the sample that each answer belongs to, ``(scored,)``."""
    found = []
    for batch in subject.samples.batches:
        real = torch.ones_like(batch.tokens) if batch.real is None else batch.real.long()
        found.append(real.sum(1, keepdim=True).expand(batch.targets.shape)[batch.targets != IGNORE])
    return torch.cat(found)
