"""Tokenizers: bytes, BPE trained on the corpus, or any file of the ``tokenizers`` library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mythos_blocks import Component, component, declare_slot
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.text.files import locate
from mythos_lab.tasks.text.pieces import pieces

declare_slot("tokenizer", "How text becomes tokens.", default="bytes")

END = "<end>"
"""How the end of a document is written in decoded text; text may hold the same characters."""

TOKENIZER = "tokenizer.json"
"""The file that a run keeps of a tokenizer that has one."""

_NUM_BYTES = 256
_MAX_BYTES = 2**28  # of a tokenizer's file
_MOST_UNUSED = 2**16  # numbers without a token
_USUAL_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")


class Tokenizer(Component):
    """Text to tokens and back.

    Built with ``with_end``, whether documents are closed by a token of their own.

    Attributes:
        vocab_size: Tokens are integers below it.
        end: The token that ends a document; ``None`` without one.
    """

    vocab_size: int
    end: int | None = None

    def key(self) -> list[Any]:
        """What the tokens are a function of, beside the text; JSON values."""
        raise NotImplementedError

    def fit(self, texts: Iterable[bytes | memoryview]) -> None:
        """Learn from the training split, where there is something to learn; UTF-8 documents.

        Raises:
            ValueError: The text does not give the vocabulary that is asked for.
        """

    def state(self) -> str:
        """What ``fit`` has learnt; empty where nothing is learnt."""
        return ""

    def restore(self, state: str) -> None:
        """Take the state of a tokenizer that was fitted with an equal ``key``."""

    def encode(self, texts: Sequence[bytes | str]) -> list[NDArray[np.int64]]:
        """Tokens of each text, without an end."""
        raise NotImplementedError

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; ends are written ``<end>``, and bytes that are no whole character as U+FFFD.

        Tokens beyond the vocabulary, which a model of a padded one may give, stand for nothing.
        """
        tokens = [token for token in tokens if token < self.vocab_size]
        pieces, begin = [], 0
        for stop, token in enumerate([*tokens, self.end]):
            if token == self.end:
                pieces.append(self._decode(tokens[begin:stop]))
                begin = stop + 1
        return END.join(pieces) if self.end is not None else self._decode(tokens)

    def num_bytes(self) -> NDArray[np.int64] | None:
        """Bytes of text behind each token, by token, none behind an end; ``None`` where tokens do not say."""
        return None

    def identity(self) -> dict[str, str]:
        """``name``, and ``sha256`` of what decides the tokens of a text."""
        raise NotImplementedError

    def content(self) -> str | None:
        """A file of the ``tokenizers`` library that gives the same tokens; ``None`` where nothing was learnt."""
        return None

    def _decode(self, tokens: Sequence[int]) -> str:
        raise NotImplementedError


@component("tokenizer", "bytes")
class Bytes(Tokenizer):
    """The bytes of UTF-8; 256 tokens, and one more where documents have an end.

    Args:
        with_end: Whether documents have an end, which is a token.
    """

    def __init__(self, with_end: bool) -> None:
        self.end = _NUM_BYTES if with_end else None
        self.vocab_size = _NUM_BYTES + with_end

    def key(self) -> list[Any]:
        return ["bytes"]

    def encode(self, texts: Sequence[bytes | str]) -> list[NDArray[np.int64]]:
        return [np.frombuffer(_utf8(text), np.uint8).astype(np.int64) for text in texts]

    def num_bytes(self) -> NDArray[np.int64]:
        return np.array([1] * _NUM_BYTES + [0] * (self.vocab_size - _NUM_BYTES), dtype=np.int64)

    def identity(self) -> dict[str, str]:
        return {"name": "bytes", "sha256": hashlib.sha256(b"bytes").hexdigest()}

    def _decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", errors="replace")


class _Library(Tokenizer):
    """A tokenizer of the ``tokenizers`` library, which is imported when one is needed."""

    name = "bpe"
    loaded: Any = None

    def encode(self, texts: Sequence[bytes | str]) -> list[NDArray[np.int64]]:
        written = [_utf8(text).decode("utf-8") for text in texts]
        found = self.loaded.encode_batch_fast(written, add_special_tokens=False)
        return [np.array(item.ids, dtype=np.int64) for item in found]

    def num_bytes(self) -> NDArray[np.int64] | None:
        if not _is_byte_level(self._content["decoder"]):
            return None
        lengths = np.zeros(self.vocab_size, dtype=np.int64)
        added = {item["id"] for item in self._content["added_tokens"]}
        for token, index in self.loaded.get_vocab(with_added_tokens=True).items():
            # In a byte-level vocabulary every character stands for one byte; added tokens are plain text.
            lengths[index] = len(token.encode()) if index in added else len(token)
        if self.end is not None:
            lengths[self.end] = 0
        return lengths

    def identity(self) -> dict[str, str]:
        return {"name": self.name, "sha256": hashlib.sha256(self.loaded.to_str().encode()).hexdigest()}

    def content(self) -> str:
        return str(self.loaded.to_str())

    @cached_property
    def _content(self) -> dict[str, Any]:
        return json.loads(self.loaded.to_str())

    def _decode(self, tokens: Sequence[int]) -> str:
        return self.loaded.decode(list(tokens), skip_special_tokens=False)


@component("tokenizer", "bpe")
class BPE(_Library):
    """Byte-level byte-pair encoding, trained on the training split; equal text gives equal tokens.

    It is lossless, has a token for every byte, and keeps the last token for the end of a document, whether documents
    have one or not, so that the other tokens are the same.

    Args:
        with_end: Whether documents have an end, which is a token.
        vocab_size: Tokens, with the 256 bytes and the end.
        path: A ``tokenizer.json`` that was trained before, as a run keeps one; ``null`` trains it here.

    Raises:
        ValueError: There is no such file, or it is no tokenizer of that size; from ``fit``, the text has not so many
            different pieces.
    """

    def __init__(
        self,
        with_end: bool,
        *,
        vocab_size: Annotated[Count, Field(gt=_NUM_BYTES)] = 2048,
        path: Annotated[str, Field(min_length=1)] | None = None,
    ) -> None:
        self.vocab_size = vocab_size
        self.end = vocab_size - 1 if with_end else None
        self._is_given = path is not None
        if path is not None:
            self.loaded = _read(path)
            if (size := self.loaded.get_vocab_size() + 1) != vocab_size:
                raise ValueError(f"path: {path!r} has {size:,} tokens with the end, and vocab_size is {vocab_size:,}")

    def key(self) -> list[Any]:
        if self._is_given:
            return ["bpe", self.vocab_size, self.identity()["sha256"]]
        # Another release of the library may break ties between pairs in another order.
        return ["bpe", self.vocab_size, _library().__version__]

    def fit(self, texts: Iterable[bytes | memoryview]) -> None:
        if self._is_given:
            return
        library = _library()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=self.vocab_size - 1,
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        words = tokenizer.pre_tokenizer.pre_tokenize_str  # which are all that is counted
        parts = (piece for text in texts for piece in pieces(text, lambda said: [word for word, _ in words(said)]))
        tokenizer.train_from_iterator((part.decode("utf-8") for part in parts), trainer)
        most = tokenizer.get_vocab_size() + 1
        if most < self.vocab_size:
            raise ValueError(
                f"tokenizer.vocab_size: {self.vocab_size} tokens, but the training text gives {most} at most"
            )
        self.loaded = tokenizer

    def state(self) -> str:
        return self.loaded.to_str()

    def restore(self, state: str) -> None:
        self.loaded = _library().Tokenizer.from_str(state)


@component("tokenizer", "file")
class File(_Library):
    """A ``tokenizer.json`` of the ``tokenizers`` library, as Hugging Face models have one.

    Special tokens are never read out of the text: what looks like one there is text.

    Args:
        with_end: Whether documents have an end, which is a token.
        path: The file.
        end_token: The token that ends a document, by its text; ``null`` looks for a usual one. Used only where
            documents have an end.

    Raises:
        ValueError: There is no such file, it is no tokenizer, or it has no such end.
    """

    def __init__(self, with_end: bool, *, path: Annotated[str, Field(min_length=1)], end_token: str | None = None):
        self.name, self.loaded = locate(path).name, _read(path)
        self.loaded.encode_special_tokens = True
        self.loaded.no_truncation()
        self.loaded.no_padding()
        tokens = self.loaded.get_vocab(with_added_tokens=True).values()
        self.vocab_size = 1 + max(tokens)
        if self.vocab_size > 4 * len(tokens) + _MOST_UNUSED:
            raise ValueError(f"path: {path!r} has {len(tokens):,} tokens, of which one is number {max(tokens):,}")
        self.end = self._end(path, end_token) if with_end else None

    def key(self) -> list[Any]:
        return ["file", self.identity()["sha256"], self.end]

    def _end(self, path: str, end_token: str | None) -> int:
        candidates = _USUAL_ENDS if end_token is None else (end_token,)
        found = [index for name in candidates if (index := self.loaded.token_to_id(name)) is not None]
        if not found:
            raise ValueError(f"end_token: {path!r} has no token {' or '.join(map(repr, candidates))}; name one of its")
        return found[0]


def _read(path: str) -> Any:
    """The tokenizer in a file."""
    place = locate(path)
    if not place.is_file() or place.stat().st_size > _MAX_BYTES:
        raise ValueError(f"path: {path!r} is no file of at most {_MAX_BYTES:,} bytes, as tokenizers are")
    try:
        return _library().Tokenizer.from_file(str(place))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"path: {path!r} is no file of the tokenizers library: {error}") from error


def _is_byte_level(decoder: dict[str, Any] | None) -> bool:
    return decoder is not None and decoder["type"] == "ByteLevel"


def _utf8(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ValueError("tokenizer: needs the package tokenizers; install mythos-lab[text]") from error
    return tokenizers
