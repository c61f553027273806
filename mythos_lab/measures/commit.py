"""When the answer is decided."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.metrics import Metric


@component("measure", "commit")
class Commit(Measure):
    """The commit iteration: the first after which the answer stays what it is, read from the state of every iteration.

    With it the jump of the margin there: by how much the answer's logit leads the next one, less the iteration before.
    """

    quantities = {
        "commit/mean": Metric("loops", "Iteration after which an answer stays; 0 where the loop's first state has it."),
        "commit/share": Metric("share", "Answers that are decided at an iteration."),
        "commit/idle": Metric("loops", "Iterations that run after an answer is decided."),
        "commit/margin_jump": Metric("logits", "Change of the margin at the commit iteration."),
    }
    source = "arXiv 2608.03263"
    null = "0 of a loop that changes no answer."
    deceives = (
        "What stays may be wrong, and may go on being read by other positions. States of early iterations are read by "
        "a coda that was trained on late ones: an answer that is there and not yet legible reads as undecided."
    )

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        return subject.refuses_trajectories()

    def measure(self, subject: Subject) -> Outcome:
        committed = torch.cat([commit_iterations(each.answers) for each in subject.trajectories]).cpu()
        margins = torch.cat([each.margins for each in subject.trajectories], 1).cpu()
        moved = committed > 0
        at, place = committed[moved], moved.nonzero()[:, 0]
        jumps = margins[at, place] - margins[at - 1, place]
        mean = float(committed.float().mean())
        shares = torch.bincount(committed, minlength=subject.num_loops + 1) / len(committed)
        return self.outcome(
            f"answers are decided after {mean:.3g} of {subject.num_loops} iterations",
            Value("commit/mean", mean),
            Value("commit/idle", subject.num_loops - mean),
            *(Value("commit/share", float(share), t) for t, share in enumerate(shares)),
            *([Value("commit/margin_jump", float(jumps.mean()))] if len(jumps) else []),
        )


def commit_iterations(answers: Tensor) -> Tensor:
    """The first iteration after which each answer stays: ``(T + 1, answers) -> (answers,)``, from 0 to T."""
    same = (answers == answers[-1]).flip(0).long()
    return len(answers) - same.cumprod(0).sum(0)
