"""MAD's compression: everything through one token."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import IGNORE, Batch, Split
from mythos_lab.tasks.generated import filled
from mythos_lab.tasks.recall.mad import MAD
from mythos_lab.tasks.samples import Samples


@component("task", "mad_compression")
class Compression(MAD):
    """MAD's compression: random tokens, one that gathers them, and every one to be restored from that alone.

    The published set-up reads the last position's state by a decoder of its own (an MLP that is also told the place).
    Here the decoder is the model itself: behind the gathering token stands a token for each place, which may read the
    gathering token and itself and nothing else. Needs ``mask: task``. The gathering token itself is not scored; as
    published it is, and always right.

    Args:
        vocab_size: Tokens that are restored, and the gathering one; the tokens that stand for places come on top.
        length: Tokens to restore, and the gathering one.
    """

    has_mask = True

    def __init__(
        self,
        *,
        vocab_size: Annotated[Count, Field(ge=3)] = 16,
        length: Annotated[Count, Field(ge=3)] = 32,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.num_letters, self.num_places = vocab_size - 1, length - 1
        self.positions = 2 * length - 1
        self.vocab_size = vocab_size + self.num_places
        self.symbols = (*map(str, range(self.num_letters)), "|", *(f"@{i}" for i in range(self.num_places)))
        self.answers = tuple(range(self.num_letters))

    @property
    def chance(self) -> float:
        return 1 / self.num_letters

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        n = self.num_places
        letters = rng.integers(0, self.num_letters, (num, n))
        gather = np.full((num, 1), self.num_letters)
        places = np.broadcast_to(self.num_letters + 1 + np.arange(n), (num, n))
        tokens = np.concatenate((letters, gather, places), 1)
        targets = np.concatenate((np.full((num, n + 1), IGNORE), letters), 1)
        allowed = np.zeros((self.positions, self.positions), dtype=bool)
        allowed[: n + 1, : n + 1] = np.tri(n + 1, dtype=bool)
        allowed[n + 1 :, n] = True
        allowed |= np.eye(self.positions, dtype=bool)
        return Samples(tokens, targets, allowed=np.broadcast_to(allowed, (num, *allowed.shape)).copy(), problem=letters)

    def oracle(self, batch: Batch) -> Tensor:
        return filled(batch, batch.tokens.numpy()[:, : self.num_places].reshape(-1))
