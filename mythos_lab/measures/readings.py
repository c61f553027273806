"""What is read at one place, as numbers for each answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_lab.tasks.base import IGNORE, Batch

_LIKELIEST = 5


@dataclass(frozen=True)
class Reading:
    """What a lens reads at one site.

    Attributes:
        ranks: Of each followed token, ``(answers,)``, from 1, the mean where several are equal; 0 where there is none.
        kl: Divergence of the reading from the output in nats, ``(answers,)``.
        entropy: Of the reading in nats, ``(answers,)``.
        numeric: Share of the five likeliest tokens that are answers of the task, ``(answers,)``; ``None`` where the
            task does not say what its answers are.
    """

    ranks: dict[str, Tensor]
    kl: Tensor
    entropy: Tensor
    numeric: Tensor | None

    @classmethod
    def joined(cls, parts: list[Reading]) -> Reading:
        """The readings of several batches as one."""
        return cls(
            {name: torch.cat([part.ranks[name] for part in parts]) for name in parts[0].ranks},
            torch.cat([part.kl for part in parts]),
            torch.cat([part.entropy for part in parts]),
            None if parts[0].numeric is None else torch.cat([p.numeric for p in parts if p.numeric is not None]),
        )


def reading(logits: Tensor, output: Tensor, tokens: dict[str, Tensor], answers: tuple[int, ...] | None) -> Reading:
    """What logits ``(answers, vocab_size)`` say.

    Args:
        logits: What a lens reads.
        output: Log-probabilities that the model comes to, of the same shape.
        tokens: Tokens to follow, ``(answers,)`` each, ``IGNORE`` where there is none.
        answers: The tokens that the task answers with.
    """
    logits = logits.float()
    logs = logits.log_softmax(-1)
    ranks = {name: _ranks(logits, token).cpu() for name, token in tokens.items()}
    numeric = None
    if answers is not None:
        top = logits.topk(min(_LIKELIEST, logits.shape[-1])).indices
        numeric = torch.isin(top, torch.tensor(answers, device=top.device)).float().mean(-1).cpu()
    kl = (output.exp() * (output - logs)).sum(-1)
    entropy = -(logs.exp() * logs).sum(-1)
    return Reading(ranks, kl.cpu(), entropy.cpu(), numeric)


def _ranks(logits: Tensor, token: Tensor) -> Tensor:
    there = token != IGNORE
    own = logits.gather(-1, token.clamp_min(0)[:, None])
    # Equals share their places: what reads nothing reads no token first.
    ranks = (logits > own).sum(-1) + ((logits == own).sum(-1) + 1) / 2
    return ranks * there


def tracked(batch: Batch, predicted: Tensor, records: Iterable[str]) -> dict[str, Tensor]:
    """The tokens to follow where something is scored, ``(scored,)`` each.

    Args:
        batch: The samples.
        predicted: The model's answers, ``(scored,)``.
        records: Names of records to follow, those that there are.
    """
    scored = batch.targets != IGNORE
    targets, rows = batch.targets[scored], scored.nonzero()[:, 0]
    found = {"prediction": predicted, "answer": targets}
    found |= {name: batch.records[name].long()[rows] for name in records if name in batch.records}
    return found if "control" in found else {**found, "control": _of_others(targets)}


def _of_others(targets: Tensor) -> Tensor:
    """The answer of the next sample that has another one; ``IGNORE`` where there is none near."""
    control = torch.full_like(targets, IGNORE)
    for shift in range(1, 9):
        other = targets.roll(shift)
        control = torch.where((control == IGNORE) & (other != targets), other, control)
    return control
