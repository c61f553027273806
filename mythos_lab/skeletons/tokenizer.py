"""A tokenizer: half bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mythos_blocks import component
from mythos_lab.tasks.text.tokenizer import Tokenizer


@component("tokenizer", "skeleton")
class Skeleton(Tokenizer):
    """Each byte of UTF-8 is two tokens below 16; the end of a document is a token of its own.

    Args:
        with_end: Whether documents have an end.
    """

    def __init__(self, with_end: bool) -> None:
        self.end = 16 if with_end else None
        self.vocab_size = 16 + with_end

    def key(self) -> list[Any]:
        return ["skeleton"]  # and the fields, where there are some: tokens are kept by it

    def encode(self, texts: Sequence[bytes | str]) -> list[NDArray[np.int64]]:
        encoded = [np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8) for text in texts]
        return [np.stack((whole >> 4, whole & 15), 1).reshape(-1).astype(np.int64) for whole in encoded]

    def num_bytes(self) -> NDArray[np.int64] | None:
        return None  # half a byte each, which is no whole number

    def identity(self) -> dict[str, str]:
        return {"name": "skeleton", "sha256": ""}

    def _decode(self, tokens: Sequence[int]) -> str:
        halves = np.asarray([*tokens, *[0] * (len(tokens) % 2)], dtype=np.uint8).reshape(-1, 2)
        return bytes((halves[:, 0] << 4) | halves[:, 1]).decode(errors="replace")
