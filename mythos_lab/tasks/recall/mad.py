"""What MAD's six tasks share, and its 66 settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from mythos_blocks.declaring.types import Many
from mythos_lab.tasks.base import IGNORE, Array, Split
from mythos_lab.tasks.generated import Generated
from mythos_lab.tasks.samples import Samples

BASELINES: dict[str, dict[str, Any]] = {
    "mad_in_context_recall": {"vocab_size": 16, "length": 128, "train_size": 12800},
    "mad_fuzzy_recall": {"vocab_size": 16, "length": 128, "train_size": 12800},
    "mad_noisy_recall": {"vocab_size": 32, "length": 128, "train_size": 12800, "noise_share": 0.2},
    "mad_selective_copying": {"vocab_size": 16, "length": 256, "train_size": 12800, "num_copied": 16},
    "mad_compression": {"vocab_size": 16, "length": 32, "train_size": 12800},
    "mad_memorization": {"vocab_size": 256, "length": 32, "train_size": 256},
}
"""The easiest setting of each task."""

_FEWER = [6400, 3200, 1600, 800]
_LONGER = [256, 512, 1024]
CHANGES: dict[str, dict[str, list[Any]]] = {
    "mad_in_context_recall": {"vocab_size": [32, 64, 128], "length": _LONGER, "train_size": _FEWER},
    "mad_fuzzy_recall": {"vocab_size": [32, 64, 128], "length": _LONGER, "train_size": _FEWER},
    "mad_noisy_recall": {
        "vocab_size": [48, 80, 144],
        "length": _LONGER,
        "train_size": _FEWER,
        "noise_share": [0.4, 0.6, 0.8],
    },
    "mad_selective_copying": {
        "vocab_size": [32, 64, 128],
        "length": [512, 1024],
        "train_size": _FEWER,
        "num_copied": [32, 64, 96],
    },
    "mad_compression": {"vocab_size": [32, 64, 128], "length": [64, 128, 256], "train_size": _FEWER},
    "mad_memorization": {"vocab_size": [512, 1024, 2048, 4096, 8192]},
}
"""What is made harder, one field at a time."""


def settings() -> list[dict[str, Any]]:
    """The 66 settings of the suite (Poli et al., arXiv 2403.17844): each a task as a recipe declares it.

    Every setting differs from its task's baseline in one field. A setting is trained at learning rates 1e-4, 5e-4 and
    1e-3 with weight decay 0 and .1, and scored by the best of the six; a task by the mean of its settings; a model by
    the mean of the tasks. ``recipes/training/mad.yaml`` has the schedule that the authors declare, and
    ``mad_as_published.yaml`` the constant rate that their code has in effect.
    """
    return [
        {"kind": kind, **baseline, **change}
        for kind, baseline in BASELINES.items()
        for change in ({}, *({field: value} for field, values in CHANGES[kind].items() for value in values))
    ]


class MAD(Generated):
    """A task of MAD (Poli et al., arXiv 2403.17844).

    Args:
        train_size: Distinct training samples, in a new order every epoch; ``null`` never ends.
        validation_size: Samples of the validation split.
        test_size: Samples of the test split.
    """

    def __init__(
        self,
        *,
        train_size: Many | None = 12800,
        validation_size: Many = 1280,
        test_size: Many = 1280,
        **fields: Any,
    ) -> None:
        fields["ood_range"] = 0
        super().__init__(train_size=train_size, validation_size=validation_size, test_size=test_size, **fields)


class MADRecall(MAD):
    """A recall task: trained on every next token, as published, and scored on answers.

    Args:
        train_on: What training scores: every next token, noise and first values included, or answers only.
    """

    causal = True
    train_on: str

    def finished(self, sequence: Array, answers: Array, split: Split) -> Samples:
        """Samples of ``(samples, positions + 1)`` tokens, of which ``answers`` holds those that are asked for."""
        targets = np.where(answers, sequence, IGNORE)[:, 1:]
        if split == "train" and self.train_on == "everything":
            targets = sequence[:, 1:]
        return Samples(sequence[:, :-1], targets, problem=sequence[:, :-1])
