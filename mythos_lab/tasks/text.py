"""Byte-level language modelling."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from mythos_blocks import component
from mythos_blocks.types import Count
from mythos_lab.tasks.base import Batch, Split, Task
from mythos_lab.tasks.corpus import NOT_LIBRARY, Corpus, locate, read, summarised
from mythos_lab.tasks.randomness import CHUNK, generator

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_SUFFIXES = [".txt", ".md", ".rst", ".py"]


@component("task", "text")
class Text(Task):
    """The next byte of real text.

    Without a path, the text is the Python standard library's own source, which every machine has; it differs
    between Python versions, so numbers compare only where the fingerprint is the same.

    The files of a split stand one after the other in the order of their paths, and a window may run from one into
    the next: with files of some kB and windows of some hundred bytes that is rare, and no byte is left out.

    Args:
        path: A text file, or a folder that is read recursively. ``null`` takes the standard library's source.
        suffixes: Files of a folder that count as text; not for the standard library, of which ``.py`` is read.
        length: Positions of a sample.
        held_out: Share of the files in the validation split, and as many again in the test split. Fewer than
            three files are split by position.
        max_bytes: Most bytes of the training split that are used, the first ones; ``null`` takes all.
        validation_size: Windows of the validation split, evenly spaced over its bytes; they overlap where it is
            short.
        test_size: Windows of the test split, likewise.
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
        path: Annotated[str, Field(min_length=1)] | None = None,
        suffixes: Annotated[list[str], Field(min_length=1)] = _SUFFIXES,
        length: Count = 128,
        held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.05,
        max_bytes: Count | None = None,
        validation_size: Count = 256,
        test_size: Count = 256,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if path is None and suffixes != _SUFFIXES:
            raise ValueError("suffixes are those of the files at path, and there is no path; the default text is .py")
        if max_bytes is not None and max_bytes < length + 2:
            raise ValueError(f"max_bytes={max_bytes} must be at least length + 2 = {length + 2}")
        self.path, self.max_bytes = path, max_bytes
        self.place = locate(path)
        self.suffixes = (".py",) if path is None else tuple(suffixes)
        self.positions, self.held_out, self.seed = length, held_out, seed
        self._sizes = {"validation": validation_size, "test": test_size}
        self._starts = lru_cache(maxsize=8)(self._draw_starts)
        if path is not None:  # the standard library is always there; a user's path may hold too little text
            for split in _SPLITS:
                self._bytes(split)

    @cached_property
    def corpus(self) -> Corpus:
        """The text; read when it is first needed."""
        # Folders that are no source of the library may be a user's own text.
        leave_out = NOT_LIBRARY if self.path is None else frozenset[str]()
        return read(self.place, self.suffixes, self.held_out, self.seed, leave_out)

    def size(self, split: Literal["validation", "test"]) -> int:
        return self._sizes[split]

    def batch(self, split: Split, indices: range) -> Batch:
        text = self._bytes(split)
        if split == "train":
            chosen = np.array([self._starts(i // CHUNK)[i % CHUNK] for i in indices])
        else:
            size = self._sizes[split]
            if len(indices) and max(indices) >= size:
                raise IndexError(f"sample {max(indices)} of {size} in {split}")
            last = len(text) - self.positions - 1
            chosen = np.array([i * last // max(1, size - 1) for i in indices])
        windows = torch.from_numpy(text[chosen[:, None] + np.arange(self.positions + 1)].astype(np.int64))
        return Batch(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())

    def fingerprint(self) -> str:
        fields = json.dumps(self.spec.model_dump(exclude={"path"}), sort_keys=True)
        return hashlib.sha256(f"{fields}/{self.corpus.fingerprint()}".encode()).hexdigest()

    @property
    def skipped(self) -> dict[str, str]:
        """Files that were left out, and why."""
        return self.corpus.skipped

    def describe(self) -> str:
        """Which text it is, in a few lines: its files and bytes, what reads it, and what was left out of it."""
        counts = [f"{s} {len(self.corpus.files[s])} files, {len(self._bytes(s))} bytes" for s in _SPLITS]
        source = "the standard library" if self.path is None else "text"
        return "\n".join(
            [
                f"{source} at {self.place} (Python {platform.python_version()})",
                "; ".join(counts),
                summarised(self.skipped) or "none skipped",
            ]
        )

    def _draw_starts(self, chunk: int) -> NDArray[np.int64]:
        starts = len(self._bytes("train")) - self.positions
        return generator(self.seed, "train", chunk).integers(0, starts, CHUNK)

    def _bytes(self, split: Split) -> NDArray[Any]:
        text = np.frombuffer(self.corpus.text[split], dtype=np.uint8)
        if split == "train":
            text = text[: self.max_bytes]
        if len(text) < self.positions + 2:
            raise ValueError(
                f"length={self.positions} needs {self.positions + 2} bytes in every split, "
                f"and {split} has {len(text)} of {str(self.place)!r}"
            )
        return text
