"""Byte-level language modelling."""

from __future__ import annotations

import hashlib
import json
import math
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from mythos_blocks import component
from mythos_blocks.types import Count
from mythos_lab.tasks.base import Batch, Split, Task
from mythos_lab.tasks.corpus import Corpus, locate, read
from mythos_lab.tasks.randomness import CHUNK, generator


@component("task", "text")
class Text(Task):
    """The next byte of real text.

    Without a path, the text is the Python standard library's own source, which every machine has; it differs
    between Python versions, so numbers compare only where the fingerprint is the same.

    Args:
        path: A text file, or a folder that is read recursively. ``null`` takes the standard library's source.
        suffixes: Files of a folder that count as text.
        length: Positions of a sample.
        held_out: Share of the files in the validation split, and as many again in the test split. A single file
            is split by position.
        validation_size: Windows of the validation split, evenly spaced over its bytes.
        test_size: Windows of the test split.
        seed: Seed of the split by file and of the training windows.

    Raises:
        ValueError: There is nothing at the path, no usable text in it, or less than a window of it.
    """

    vocab_size = 256
    causal = True
    bits_per_byte = 1 / math.log(2)

    def __init__(
        self,
        *,
        path: str | None = None,
        suffixes: Annotated[list[str], Field(min_length=1)] = [".txt", ".md", ".rst", ".py"],
        length: Count = 128,
        held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.05,
        validation_size: Count = 256,
        test_size: Count = 256,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.place = locate(path)
        self.suffixes = (".py",) if path is None else tuple(suffixes)
        self.positions, self.held_out, self.seed = length, held_out, seed
        self._sizes = {"validation": validation_size, "test": test_size}
        if path is not None:
            self._bytes("validation")  # the standard library is always there; a user's path may hold no text

    @cached_property
    def corpus(self) -> Corpus:
        """The text; read when it is first needed."""
        return read(self.place, self.suffixes, self.held_out, self.seed)

    def size(self, split: Literal["validation", "test"]) -> int:
        return self._sizes[split]

    def batch(self, split: Split, indices: range) -> Batch:
        text = self._bytes(split)
        starts = len(text) - self.positions
        if split == "train":
            chosen = np.array([self._chunk_starts(i // CHUNK, starts)[i % CHUNK] for i in indices])
        else:
            size = self._sizes[split]
            if len(indices) and max(indices) >= size:
                raise IndexError(f"sample {max(indices)} of {size} in {split}")
            chosen = np.array([i * (starts - 1) // max(1, size - 1) for i in indices])
        windows = torch.from_numpy(text[chosen[:, None] + np.arange(self.positions + 1)].astype(np.int64))
        return Batch(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())

    def fingerprint(self) -> str:
        fields = json.dumps(self.spec.model_dump(exclude={"path"}), sort_keys=True)
        return hashlib.sha256(f"{fields}/{self.corpus.fingerprint()}".encode()).hexdigest()

    @property
    def skipped(self) -> dict[str, str]:
        """Files that were left out, and why."""
        return self.corpus.skipped

    def _chunk_starts(self, chunk: int, starts: int) -> NDArray[np.int64]:
        return generator(self.seed, "train", chunk).integers(0, starts, CHUNK)

    def _bytes(self, split: Split) -> NDArray[Any]:
        text = np.frombuffer(self.corpus.text[split], dtype=np.uint8)
        if len(text) < self.positions + 2:
            raise ValueError(
                f"length={self.positions} needs {self.positions + 2} bytes in every split, "
                f"and {split} has {len(text)} of {str(self.place)!r}"
            )
        return text
