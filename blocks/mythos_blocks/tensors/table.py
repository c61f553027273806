"""Tables of vectors."""

from __future__ import annotations

import torch
from torch import nn


def embedding(num_rows: int, width: int) -> nn.Embedding:
    """An embedding, ``(num_rows, width)``.

    On the meta device nothing is drawn for it: torch's normal distribution there is written in Python, and imports its
    compiler, which takes seconds.
    """
    if torch.get_default_device().type == "meta":
        return nn.Embedding.from_pretrained(torch.empty(num_rows, width), freeze=False)
    return nn.Embedding(num_rows, width)
