"""Prompts of different lengths in one batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def left_padded(prompts: Sequence[Sequence[int]], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Prompts of any lengths as one batch that ends in one column.

    Args:
        prompts: Tokens of each prompt.
        fill: The token that stands in the padding; nobody reads it.

    Returns:
        Tokens ``(batch, positions)``, and the padding of each row, ``(batch,)``.

    Raises:
        ValueError: There is no prompt, or an empty one.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ValueError("prompts must be at least one, and none of them empty")
    width = max(len(prompt) for prompt in prompts)
    tokens = torch.full((len(prompts), width), fill)
    for row, prompt in zip(tokens, prompts, strict=True):
        row[width - len(prompt) :] = torch.tensor(list(prompt))
    return tokens, torch.tensor([width - len(prompt) for prompt in prompts])


def padding_counts(padding: Tensor | Sequence[int] | None, tokens: Tensor) -> Tensor | None:
    """How many columns on the left of each row are padding, ``(batch,)``; ``None`` where none are.

    Args:
        padding: These counts, or ``(batch, positions)`` booleans that are true at padding.
        tokens: ``(batch, positions)``.

    Raises:
        ValueError: Padding stands elsewhere than on the left, or leaves nothing of a row.
    """
    if padding is None:
        return None
    batch, width = tokens.shape
    given = torch.as_tensor(padding)
    if given.dtype == torch.bool:
        if given.shape != tokens.shape:
            raise ValueError(f"padding has shape {tuple(given.shape)}, and tokens {tuple(tokens.shape)}")
        counts = given.sum(1)
        if not torch.equal(given, torch.arange(width, device=given.device) < counts[:, None]):
            raise ValueError("padding must stand on the left of the tokens")
    else:
        counts = given
        if counts.shape != (batch,) or counts.is_floating_point():
            raise ValueError(f"padding must be {batch} counts or {batch} x {width} booleans; it is {padding}")
    if bool((counts < 0).any()) or bool((counts >= width).any()):
        raise ValueError(f"padding must leave at least one of {width} tokens in each row; it is {counts.tolist()}")
    return counts.long() if bool(counts.any()) else None
