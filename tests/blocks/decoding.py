"""A model run chunk by chunk with a cache, beside what the full pass gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import mythos_blocks as mb
from mythos_blocks.generation.cache import Cache
from tests.blocks.parts import VOCAB, WIDTH, randomise

LENGTH = 11


def decoding_model(
    num_loops: int = 4, layer: Any = "pre_norm", prelude: int = 1, coda: int = 1, **core: Any
) -> mb.LoopedTransformer:
    """A model in evaluation mode whose every part shows in the logits."""
    core.setdefault("loops", {"kind": "fixed", "num_loops": num_loops})
    core.setdefault("injection", "lti")
    model = mb.LoopedTransformer(
        VOCAB,
        width=WIDTH,
        prelude={"depth": prelude, "layer": layer},
        core={"layer": layer, **core},
        coda={"depth": coda, "layer": layer},
    )
    randomise(model, std=0.2)
    return model.eval()


def in_chunks(
    model: mb.LoopedTransformer,
    tokens: Tensor,
    sizes: Sequence[int],
    iterations: Any = None,
    cache: Cache | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor, Cache]:
    """Logits and executed iterations of all positions, decoded in chunks of these sizes; and the cache.

    ``iterations`` of shape ``(batch, positions)`` are split as the tokens are.
    """
    assert sum(sizes) == tokens.shape[1]
    cache = cache or Cache(len(tokens))
    logits, executed, start = [], [], 0
    for size in sizes:
        counts = iterations
        if isinstance(iterations, Tensor) and iterations.dim() == 2:
            counts = iterations[:, start : start + size]
        mask, positions = cache.begin(size)
        with torch.no_grad():
            out = model(tokens[:, start : start + size], mask, counts, positions=positions, past=cache, **options)
        cache.commit(size)
        logits.append(out.logits)
        executed.append(out.executed)
        start += size
    return torch.cat(logits, 1), torch.cat(executed, 1), cache


SPLITS = {"at once": [11], "chunks of 4": [4, 4, 3], "one by one": [1] * 11, "a prompt, then one by one": [5, *[1] * 6]}
