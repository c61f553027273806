"""Language modelling over documents."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from mythos_blocks import Slot, SpecLike, build, component
from mythos_blocks.declaring.spec import as_spec
from mythos_blocks.declaring.types import Count, Many
from mythos_lab.tasks.base import IGNORE, Batch, HeldOut, Split, Task
from mythos_lab.tasks.text.account import how_split, remarks
from mythos_lab.tasks.text.cache import prepare
from mythos_lab.tasks.text.corpus import Corpus, Source, gather
from mythos_lab.tasks.text.division import SPLITS, Division
from mythos_lab.tasks.text.files import Files
from mythos_lab.tasks.text.hub import HubDataset as HubDataset
from mythos_lab.tasks.text.own_splits import OnDisk, check_own
from mythos_lab.tasks.text.packing import Packed, Packing, Stream, num_apart, spread
from mythos_lab.tasks.text.skips import Skips
from mythos_lab.tasks.text.sources import SUFFIXES, at_paths
from mythos_lab.tasks.text.tokenizer import TOKENIZER, Tokenizer
from mythos_lab.tasks.text.tokens import Prepared, Tokens, as_bytes

# Fields whose effect the hashes of the text hold.
_ELSEWHERE = {"path", "dataset", "tokenizer", "padded_vocab_size", "text_field", "format", "max_skipped"}
_ELSEWHERE |= {"validation_path", "test_path", "max_shared"}
_HELD_OUT = 0.05  # of what is divided, unless told otherwise
_BYTES_A_TOKEN = 4  # of most text in a learned vocabulary; decides how long the stretches of one text are
_IN_MEMORY = 2**25  # bytes of files, which are kept as they are; more are mapped into memory, once for all processes
_SHOWN = 160  # characters of a rendered sample


@component("task", "text")
class Text(Task):
    """The next token of real text.

    Without a path or a data set, the text is the Python standard library's own source, which every machine has; it
    differs between Python versions, so numbers compare only where the fingerprint is the same.

    Documents are text files, or rows of JSON Lines, JSON, CSV, TSV, Parquet and data sets, all but Parquet also
    compressed (``.gz``, ``.bz2``, ``.xz``, ``.zst``). Endings say which, in whatever case. A folder that ``datasets``
    wrote by ``save_to_disk`` is read as rows, without that library. What is not what its ending says is refused;
    single documents that cannot be read are left out and counted (``describe``), up to a share.

    A document's content decides its split, so that copies of one (but for case and white space) are in one split, and
    a held-out split has each once. Fewer than three different documents are cut into stretches, of which each
    goes to one split likewise; a held-out split has some sixteen of them, from all over the text. ``split_by:
    position`` holds out the end instead, as the published splits of enwik8 and text8 do.

    A data set's own validation and test splits are used where there are such: those of a dictionary of data sets that
    was saved, ``validation_path`` and ``test_path``, or ``validation_split`` and ``test_split`` of a data set of the
    hub. What is missing is divided from the training split. Whole documents that stand in two splits are counted, said,
    and left out of training, and of validation where test has them; above a share the data are refused.

    Documents of a split stand one after the other in the order of their paths and rows, and a window may run from one
    into the next, unless ``document_mask`` keeps attention and targets within a document. Windows that are evaluated
    share no token. Intervals take documents (or stretches) as what was drawn; of fewer than five there are none.

    Tokens are made when the task is built, and kept in a cache (the folder ``$MYTHOS_CACHE``, or
    ``~/.cache/mythos_lab``) which all processes of a machine map into memory; the bytes of at most 32 MiB of files are
    read as they stand.

    ``bits_per_byte`` makes a mean loss over the scored tokens of a split into bits per byte: nats per token / ln 2 *
    tokens / bytes. Where the bytes behind every token are known and add up to the text (bytes, bpe, and files of
    byte-level vocabularies that change nothing), tokens and bytes are those of the split's scored targets, so the
    number is exact; otherwise they are those of the whole split. Ends of documents are tokens of no bytes: what they
    cost is borne by the text. A tokenizer that maps text to an unknown token loses what the number cannot show.

    Args:
        path: A file of text or rows, a folder that is read recursively, or one that ``save_to_disk`` wrote. ``null``
            takes the standard library's source.
        validation_path: A file or folder of the same kind that is the validation split; ``null`` takes that of the data
            set at the path, or divides.
        test_path: The same of the test split.
        suffixes: Files of a folder that count as text; not for the standard library, of which ``.py`` is read.
        text_field: The field or column of the rows at the path that holds the text.
        format: What the files at the path hold; ``auto`` goes by their endings, and takes what has none of JSON Lines
            (``.jsonl``, ``.ndjson``), JSON, CSV, TSV and Parquet for text.
        dataset: A data set to read in place of a path.
        max_skipped: Largest share of the documents that may be unreadable; above it the text is refused. Blank lines
            and empty files are none.
        max_shared: Largest share of the different documents of a held-out split of the data's own that may stand in
            another split too; above it the data are refused. ``null`` is 0.05.
        tokenizer: How text becomes tokens.
        padded_vocab_size: Tokens that a model of the text has, where those are more than the tokenizer's: a published
            vocabulary, or the next multiple of 64. No text has the ones beyond. ``null`` takes the tokenizer's.
        packing: Where windows begin. ``stream`` draws each on its own, anywhere; ``packed`` closes documents with an
            end token and cuts them into windows without overlap, all of which every epoch visits once, shuffled.
        document_mask: Whether attention stays within a document (with the recipe's ``mask: task``) and a target in
            another document is not scored. Documents then have an end token.
        length: Positions of a sample.
        held_out: Share of the different documents (or stretches) in the validation split, and as many again in the
            test split; of training's where one of the two is the data's own.
        split_by: ``content``: a hash of the content decides. ``position``: the last documents are held out, of fewer
            than three the last bytes; copies are left out.
        max_bytes: Most bytes of the training split that are used, the first ones; ``null`` takes all.
        validation_size: Windows of the validation split, evenly spaced over it; fewer where it has not so many.
        test_size: Windows of the test split, likewise.
        seed: Seed of the split by content and of the training windows.

    Raises:
        ValueError: There is nothing at the path, no usable text in it, or less than a window of it.
    """

    causal = True

    def __init__(
        self,
        *,
        path: Annotated[str, Field(min_length=1)] | None = None,
        validation_path: Annotated[str, Field(min_length=1)] | None = None,
        test_path: Annotated[str, Field(min_length=1)] | None = None,
        suffixes: Annotated[list[str], Field(min_length=1)] = SUFFIXES,
        text_field: Annotated[str, Field(min_length=1)] = "text",
        format: Literal["auto", "text", "jsonl", "json", "csv", "tsv", "parquet"] = "auto",
        dataset: Annotated[SpecLike, Slot("dataset")] | None = None,
        max_skipped: Annotated[float, Field(ge=0, le=1)] = 0.05,
        max_shared: Annotated[float, Field(ge=0, le=1)] | None = None,
        tokenizer: Annotated[SpecLike, Slot("tokenizer")] = "bytes",
        padded_vocab_size: Count | None = None,
        packing: Literal["stream", "packed"] = "stream",
        document_mask: bool = False,
        length: Count = 128,
        held_out: Annotated[float, Field(gt=0, lt=0.5)] = _HELD_OUT,
        split_by: Literal["content", "position"] = "content",
        max_bytes: Annotated[int, Field(ge=1)] | None = None,
        validation_size: Many = 256,
        test_size: Many = 256,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if path is not None and dataset is not None:
            raise ValueError("dataset: there is a path too; the text comes from one of them")
        held_out_paths = {"validation_path": validation_path, "test_path": test_path}
        if path is None and any(held_out_paths.values()):
            field = next(field for field, value in held_out_paths.items() if value)
            raise ValueError(f"{field}: there is no path beside it; a dataset names its splits itself")
        if max_shared is not None and path is None and dataset is None:
            raise ValueError("max_shared is of splits that the data has itself, and the standard library has none")
        if path is None and suffixes != SUFFIXES:
            raise ValueError("suffixes are those of the files at path, and there is no path; the default text is .py")
        for field, value, usual in (("text_field", text_field, "text"), ("format", format, "auto")):
            if value != usual and path is None:
                raise ValueError(f"{field} is that of the files at path, and there is no path")
        if max_bytes is not None and max_bytes < length + 2:
            raise ValueError(f"max_bytes={max_bytes} must be at least length + 2 = {length + 2}")
        if document_mask and length < 2:
            raise ValueError("document_mask: length=1 leaves windows in which nothing is scored; at least 2")
        self.path, self.packing, self.document_mask = path, packing, document_mask
        self.positions, self.seed, self.has_mask = length, seed, document_mask
        self.max_skipped = max_skipped
        a_token = 1 if as_spec(tokenizer).kind == "bytes" else _BYTES_A_TOKEN
        self.division = Division(held_out, seed, max_bytes, split_by, length * a_token)
        self._sizes = {"validation": validation_size, "test": test_size, "ood": 0}
        paths: dict[Split, str | None] = {"train": path, "validation": validation_path, "test": test_path}
        self._files: OnDisk | None = None
        self.source: Source
        if dataset is None:
            self.source = self._files = at_paths(paths, suffixes, text_field, format)
        else:
            self.source = build(dataset)
        self.tokenizer: Tokenizer = build(tokenizer, has_ends(packing, document_mask))
        self.vocab_size = padded_vocab_size or self.tokenizer.vocab_size
        if self.vocab_size < (num := self.tokenizer.vocab_size):
            raise ValueError(f"padded_vocab_size={padded_vocab_size} must be at least the tokenizer's {num} tokens")
        self._is_plain = dataset is None and self.tokenizer.end is None and as_spec(tokenizer).kind == "bytes"
        if path is not None or not self._is_plain:
            # The standard library is always there; a user's text may be too little.
            for split in SPLITS:
                self._enough(split)
            said = held_out if held_out != _HELD_OUT else None
            check_own(self.prepared.census, self.source.place, max_shared, said)

    @cached_property
    def corpus(self) -> Corpus:
        """The text, read from its source into memory; without the documents that have no token."""
        return gather(self.source, self.division, self.max_skipped)

    @cached_property
    def prepared(self) -> Prepared:
        """The tokens; made, or found in the cache, when first needed."""
        if self._is_plain and self._files is not None and self._files.num_bytes() <= _IN_MEMORY:
            return as_bytes(self.corpus)
        return prepare(self.source, self.tokenizer, self.division, self.max_skipped)

    def size(self, split: HeldOut) -> int:
        if split == "ood":
            return 0
        return min(self._sizes[split], num_apart(len(self._enough(split).ids), self.positions))

    def batch(self, split: Split, indices: range) -> Batch:
        if split == "train":
            return self._cut(split, self._windows.drawn(indices))
        size = self.size(split)
        if len(indices) and max(indices) >= size:
            raise IndexError(f"sample {max(indices)} of {size} in {split}")
        return self._cut(split, spread(len(self._enough(split).ids), self.positions, indices, size))

    def bits_per_byte(self, split: HeldOut) -> float | None:
        return self._bits_per_byte[split]

    def fingerprint(self) -> str:
        fields = json.dumps(self.spec.model_dump(exclude=_ELSEWHERE), sort_keys=True)
        tokens = [self.prepared.fingerprint, self.tokenizer.identity()["sha256"], self.vocab_size, self.tokenizer.end]
        return hashlib.sha256(f"{fields}/{json.dumps(tokens)}".encode()).hexdigest()

    @property
    def skips(self) -> Skips:
        """What was left out, by reason."""
        return self.prepared.skips

    def identity(self) -> dict[str, str]:
        text, said = self.prepared, self.tokenizer.identity()
        census = text.census
        found = {
            "tokenizer": said["name"],
            "tokenizer_sha256": said["sha256"],
            "text_sha256": text.fingerprint,
            "text_documents": str(sum(len(text.splits[split].ends) for split in SPLITS)),
            "text_copies": str(census.num_copies),
            "text_skipped": f"{self.skips.num}{f': {self.skips.reasons()}' if self.skips.num else ''}",
        }
        if census.num_own:
            own = (f"{split}: {census.num_shared[split]} of {num} shared" for split, num in census.num_own.items())
            found["text_own_splits"] = ", ".join(own)
        return found if census.num_files is None else {**found, "text_files": str(census.num_files)}

    def describe(self) -> str:
        """Which text it is, in a few lines: what is in each split, what reads it, and what was left out of it."""
        text, said = self.prepared, self.tokenizer.identity()
        name = "the standard library" if isinstance(self.source, Files) and self.path is None else "text"
        files = "" if text.census.num_files is None else f", {text.census.num_files} files"
        return "\n".join(
            [
                f"{name} at {self.source.place} (Python {platform.python_version()}){files}",
                "; ".join(self._counts(split) for split in SPLITS),
                how_split(text.census, self.division),
                f"tokenizer {said['name']} {said['sha256'][:12]}, {self.vocab_size} tokens, packing {self.packing}",
                str(self.skips) or "none skipped",
            ]
        )

    def files(self) -> dict[str, str]:
        content = self.tokenizer.content()
        return {} if content is None else {TOKENIZER: content}

    def remarks(self) -> list[str]:
        return remarks(self.prepared, self.source.place)

    def render(self, batch: Batch, row: int) -> str:
        """The text of a window, an arrow, and the token that comes after it."""
        tokens, target = batch.tokens[row].tolist(), int(batch.targets[row, -1])
        text = _one_line(self.tokenizer.decode(tokens))
        if len(text) > _SHOWN:
            text = f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"
        return f"{text} → {'(not scored)' if target == IGNORE else _one_line(self.tokenizer.decode([target]))}"

    def _cut(self, split: Split, starts: NDArray[np.int64]) -> Batch:
        at = starts[:, None] + np.arange(self.positions + 1)
        tokens = self.prepared.splits[split]
        windows = torch.from_numpy(tokens.ids[at].astype(np.int64))
        inputs, targets = windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
        if split == "train" and not self.document_mask:
            return Batch(inputs, targets)
        document = torch.from_numpy(np.searchsorted(tokens.ends, at, side="right"))
        units = None if split == "train" else document[:, 1:].contiguous()
        if not self.document_mask:
            return Batch(inputs, targets, units=units)
        here, there = document[:, :-1], document[:, 1:]
        causal = torch.ones(self.positions, self.positions, dtype=torch.bool).tril()
        allowed = (here[:, :, None] == here[:, None, :]) & causal
        return Batch(inputs, targets.masked_fill(here != there, IGNORE), allowed, units=units)

    @cached_property
    def _windows(self) -> Packing:
        kind = Packed if self.packing == "packed" else Stream
        return kind(len(self._enough("train").ids), self.positions, self.seed)

    def _enough(self, split: Split) -> Tokens:
        tokens = self.prepared.splits[split]
        if len(tokens.ids) < self.positions + 2:
            raise ValueError(
                f"length={self.positions} needs {self.positions + 2} {self._unit} in every split, "
                f"and {split} has {len(tokens.ids)} of {self.source.place!r}{'; ' * bool(self.skips.num)}{self.skips}"
            )
        return tokens

    @cached_property
    def _bits_per_byte(self) -> dict[HeldOut, float]:
        splits: tuple[HeldOut, ...] = ("validation", "test")
        return {split: self._tokens_per_byte(split) / math.log(2) for split in splits}

    def _tokens_per_byte(self, split: HeldOut) -> float:
        """Of the targets of a split that are scored where the tokenizer says, else of all of it."""
        if self._is_plain:
            return 1.0
        tokens, lengths = self.prepared.splits[split], self.tokenizer.num_bytes()
        if lengths is None or not tokens.exact:
            return len(tokens.ids) / tokens.num_bytes
        num_tokens = num_bytes = 0
        size = self.size(split)
        for start in range(0, size, 64):
            targets = self.batch(split, range(start, min(size, start + 64))).targets.numpy()
            scored = targets[targets != IGNORE]
            num_tokens += len(scored)
            num_bytes += int(lengths[scored].sum())
        # Windows may hold nothing but ends where documents are of one byte.
        return num_tokens / num_bytes if num_bytes else len(tokens.ids) / tokens.num_bytes

    def _counts(self, split: Split) -> str:
        tokens = self.prepared.splits[split]
        counted = "" if self._is_plain else f"{len(tokens.ids)} tokens, "
        windows = f", {num_apart(len(tokens.ids), self.positions)} windows" if self.packing == "packed" else ""
        return f"{split} {len(tokens.ends)} documents, {counted}{tokens.num_bytes} bytes{windows}"

    @property
    def _unit(self) -> str:
        return "bytes" if self._is_plain else "tokens"


def has_ends(packing: str, document_mask: bool) -> bool:
    """Whether documents of a text are closed by a token of their own."""
    return packing == "packed" or document_mask


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
