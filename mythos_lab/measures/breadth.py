"""What several starts of a random initial state come to together: a vote, and the surest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer
from mythos_blocks.initial_state import restarted
from mythos_blocks.model.modes import evaluating
from mythos_lab.measures.evaluate import batches, by_unit, predicted
from mythos_lab.measures.passes import passes
from mythos_lab.measures.tally import Interval, Tally
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import IGNORE, Batch, HeldOut, Task


@dataclass(frozen=True)
class Breadth:
    """Right answers on one split; losses are not told, as an answer that was voted for has none.

    Attributes:
        single: Of one start, their mean.
        vote: Of the token that most starts predict; of two that as many do, the one of which they are surer together.
        confident: Of the start that is surest of a sample, by the mean log-probability of what it predicts there.
    """

    single: Tally
    vote: Tally
    confident: Tally

    def metrics(self) -> dict[str, float]:
        """The accuracies under their metric names."""
        found = {f"breadth/{name}": getattr(self, name).accuracy for name in ("single", "vote", "confident")}
        return found | {"breadth/gain": self.vote.accuracy - self.single.accuracy}

    def intervals(self) -> dict[str, Interval | None]:
        """95 % intervals of them over samples that might have been drawn, not over other starts."""
        found = {f"breadth/{n}": getattr(self, n).accuracy_interval() for n in ("single", "vote", "confident")}
        return found | {"breadth/gain": self.vote.accuracy_gain(self.single)}


@dataclass(frozen=True)
class Answers:
    """What each start predicts of the scored tokens of a batch.

    Attributes:
        tokens: The likeliest tokens, ``(starts, scored)``, on the CPU as all of these.
        logs: Their log-probabilities among the task's answers, ``(starts, scored)``.
        rows: The sample of each, ``(scored,)``.
    """

    tokens: Tensor
    logs: Tensor
    rows: Tensor

    def vote(self) -> Tensor:
        """The token that most starts predict, ``(scored,)``."""
        num_starts = len(self.tokens)
        votes = []
        for mine in self.tokens:
            agree = self.tokens == mine
            # Probabilities of as many starts come to less than another vote.
            votes.append(agree.sum(0) + (agree * self.logs.exp()).sum(0) / (num_starts + 1))
        return self._of(torch.stack(votes).argmax(0))

    def confident(self) -> Tensor:
        """What the start predicts that is surest of the sample, ``(scored,)``."""
        sums = self.logs.new_zeros(len(self.logs), int(self.rows.max()) + 1).index_add(1, self.rows, self.logs)
        return self._of(sums.argmax(0)[self.rows])

    def _of(self, starts: Tensor) -> Tensor:
        return self.tokens.gather(0, starts[None])[0]


@torch.no_grad()
def breadths(
    model: LoopedTransformer, task: Task, recipe: Recipe, counts: Sequence[int], split: HeldOut = "validation"
) -> dict[int, Breadth]:
    """Score a model from ``evaluation.breadth`` starts on a whole split, at several loop counts.

    The starts are the model's fixed draws, a function of the initial state's seed and of the number of the start: no
    global generator moves, and the first is what ``at_evaluation: fixed`` takes.

    Raises:
        ValueError: No initial state of the model is drawn.
    """
    parts: dict[int, list[tuple[Tally, ...]]] = {count: [] for count in sorted(set(counts))}
    with evaluating(model):
        for batch in batches(model, task, recipe, split):
            for count, answers in answers_at(model, task, batch, recipe, list(parts)).items():
                parts[count].append(_tallies(batch, answers))
    return {count: Breadth(*map(Tally.joined, map(list, zip(*found, strict=True)))) for count, found in parts.items()}


def answers_at(
    model: LoopedTransformer, task: Task, batch: Batch, recipe: Recipe, counts: Sequence[int]
) -> dict[int, Answers]:
    """What each start of a model in evaluation predicts of a batch, at loop counts, ascending."""
    found: dict[int, list[tuple[Tensor, Tensor]]] = {count: [] for count in counts}
    for start in range(recipe.evaluation.breadth):
        with restarted(model, start):
            for count, (logits, _) in zip(counts, passes(model, batch, recipe, counts), strict=True):
                among = logits.float() if task.answers is None else logits.float()[:, list(task.answers)]
                logs = among.log_softmax(-1).amax(-1)
                found[count].append((predicted(logits, task.answers).cpu(), logs.cpu()))
    rows = (batch.targets != IGNORE).nonzero()[:, 0].cpu()
    return {
        count: Answers(torch.stack([tokens for tokens, _ in each]), torch.stack([logs for _, logs in each]), rows)
        for count, each in found.items()
    }


def _tallies(batch: Batch, answers: Answers) -> tuple[Tally, ...]:
    is_scored = batch.targets != IGNORE
    wanted = batch.targets[is_scored].cpu()
    shares = (
        (answers.tokens == wanted).double().mean(0),
        (answers.vote() == wanted).double(),
        (answers.confident() == wanted).double(),
    )
    return tuple(by_unit(batch, is_scored, share, torch.zeros(len(wanted))) for share in shares)
