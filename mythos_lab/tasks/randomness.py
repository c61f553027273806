"""One explicit generator for every chunk of samples."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mythos_lab.tasks.base import Split

CHUNK = 1024
"""Samples that one generator makes. Sample i is row ``i % CHUNK`` of chunk ``i // CHUNK``, whoever asks for it."""

_PURPOSES = {"train": 0, "validation": 1, "test": 2, "ood": 3, "audit": 4, "order": 5, "table": 6}

Purpose = Split | Literal["audit", "order", "table"]


def generator(seed: int, purpose: Purpose, chunk: int) -> np.random.Generator:
    """The generator of a chunk: a function of the seed, the purpose and the chunk's index alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, _PURPOSES[purpose], chunk))))
