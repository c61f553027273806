"""One explicit generator for every chunk of samples."""

from __future__ import annotations

import numpy as np

from mythos_lab.tasks.base import Split

CHUNK = 1024
"""Samples that one generator makes. Sample i is row ``i % CHUNK`` of chunk ``i // CHUNK``, whoever asks for it."""

_SPLITS = {"train": 0, "validation": 1, "test": 2}


def generator(seed: int, split: Split, chunk: int) -> np.random.Generator:
    """The generator of a chunk: a function of the seed, the split and the chunk's index alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, _SPLITS[split], chunk))))
