"""Documents from a data set of the Hugging Face hub, or one on this disk in the same formats."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mythos_blocks import Component, component, declare_slot
from mythos_blocks.declaring.registry import suggest
from mythos_blocks.declaring.types import Many
from mythos_lab.tasks.base import Split
from mythos_lab.tasks.text.files import locate
from mythos_lab.tasks.text.formats import named
from mythos_lab.tasks.text.own_splits import in_split
from mythos_lab.tasks.text.saved import is_saved, splits_of
from mythos_lab.tasks.text.skips import Item, text_or_reason

declare_slot("dataset", "A data set whose rows are the documents of a text.", default="hub")

_READERS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text"}
_FIELDS: dict[Split, str] = {"train": "split", "validation": "validation_split", "test": "test_split"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_Name = Annotated[str, Field(min_length=1)]


@component("dataset", "hub")
class HubDataset(Component):
    """Rows of a data set of the Hugging Face hub, by its name or by the path of a copy; needs ``datasets``.

    FineWeb-Edu, for example: ``{name: HuggingFaceFW/fineweb-edu, config: sample-10BT, max_documents: 100000}``.

    A name on the hub is resolved to a commit before anything is read, which asks the hub once; with the commit's 40
    digits as ``revision``, tokens that were made before are found without it. See
    :class:`mythos_lab.tasks.text.corpus.Source`.

    Args:
        name: Name on the hub, or a file or folder here, which comes first. Paths that begin with ``.``, ``/`` or
            ``~`` are never looked for on the hub.
        config: Configuration (subset) of the data set; ``null`` is its default.
        split: Its split of which the rows are taken; the task divides from them what no other field names.
        validation_split: Its split that is the validation split, whole; ``null`` divides.
        test_split: The same of the test split.
        text_field: The column that holds the text.
        streaming: Read rows as they arrive, so that nothing is downloaded beyond what is used; otherwise download
            the split and keep it in the cache of ``datasets``.
        max_documents: Rows of ``split`` that are read, the first ones; ``null`` reads all.
        revision: Branch, tag or commit on the hub; ``null`` is the newest commit.

    Raises:
        ValueError: ``datasets`` is missing, there is no such data set, or it has no such split or column.
    """

    field = "dataset"
    num_files: int | None = None

    def __init__(
        self,
        *,
        name: _Name,
        config: _Name | None = None,
        split: _Name = "train",
        validation_split: _Name | None = None,
        test_split: _Name | None = None,
        text_field: _Name = "text",
        streaming: bool = True,
        max_documents: Many | None = None,
        revision: _Name | None = None,
    ) -> None:
        self.place, self.config, self.text_field = name, config, text_field
        names: dict[Split, str | None] = {"train": split, "validation": validation_split, "test": test_split}
        self.splits = {ours: theirs for ours, theirs in names.items() if theirs is not None}
        if len(set(self.splits.values())) < len(self.splits):
            raise ValueError(f"split: {', '.join(self.splits.values())} are not different ones")
        self.streaming, self.max_documents, self.revision = streaming, max_documents, revision
        found = Path(name).expanduser()
        self.path = locate(name, "name") if found.exists() or name[0] in "./~" else None
        if self.path is not None and (is_saved(self.path) or splits_of(self.path, "name")):
            raise ValueError(f"name: {name!r} was written by save_to_disk; task.path reads it, in place of a dataset")
        if self.path is not None and revision is not None:
            raise ValueError(f"revision: {name!r} is on this disk, and only a data set on the hub has revisions")

    def key(self) -> str:
        said: list[Any] = ["dataset", self.config, self.splits["train"], self.text_field, self.max_documents]
        said += [own] if (own := {split: name for split, name in self.splits.items() if split != "train"}) else []
        said += [self.place, self._commit()] if self.path is None else [_contents(self.path)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def documents(self) -> Iterator[Item]:
        for split in self.splits:
            yield from in_split(split, self._documents(split), self)

    def _documents(self, split: Split) -> Iterator[Item]:
        rows = self._rows(split)
        number = 0
        while True:
            try:
                row = next(rows, None)
            except Exception as error:  # a reader of its own for every format, each with its own exceptions
                raise ValueError(f"{self._said('name')} cannot be read after row {number}: {_line(error)}") from error
            if row is None:
                return
            number += 1
            yield text_or_reason(f"row {number}", row.get(self.text_field))

    def hint(self) -> str:
        return f"its split {self.splits['train']!r} has no row" if len(self.splits) == 1 else ""

    def unread(self) -> str:
        return ""

    def _rows(self, split: Split) -> Iterator[Any]:
        """Rows with the one column, from the data set opened now."""
        opened = self._open(split)
        names = opened.column_names or self._first_names(opened)
        if names and self.text_field not in names:
            near = suggest(self.text_field, names)
            raise ValueError(f"dataset.text_field: {self.place!r} has no column {self.text_field!r}; {near}")
        feature = (opened.features or {}).get(self.text_field)
        if feature is not None and getattr(feature, "dtype", None) not in ("string", "large_string", "null"):
            kind = getattr(feature, "dtype", feature)
            raise ValueError(f"dataset.text_field: column {self.text_field!r} of {self.place!r} holds {kind}, not text")
        chosen = opened.select_columns([self.text_field]) if names else opened
        return islice(iter(chosen), self.max_documents if split == "train" else None)

    def _first_names(self, opened: Any) -> list[str]:
        """The columns of the first row, of a stream whose columns nothing declares."""
        try:
            return list(next(iter(opened), {}))
        except Exception as error:  # as in documents
            raise ValueError(f"{self._said('name')} cannot be read at row 1: {_line(error)}") from error

    def _open(self, split: Split) -> Any:
        datasets = _library()
        where: dict[str, Any] = {"split": self.splits[split], "streaming": self.streaming}
        if self.path is None:
            where |= {"path": self.place, "name": self.config, "revision": self._commit()}
        elif self.path.is_dir():
            where |= {"path": str(self.path), "name": self.config}
        else:
            reader = _READERS.get(named(self.path.name).ending)
            if reader is None:
                raise ValueError(f"{self._said('name')} is of no known format; one of: {', '.join(sorted(_READERS))}")
            where |= {"path": reader, "name": self.config, "data_files": str(self.path)}
        try:
            return datasets.load_dataset(**where)
        except Exception as error:  # the hub, the network, the disk and every format raise their own
            said = _line(error)
            field = _FIELDS[split] if "split" in said.lower() else "config" if "config" in said.lower() else "name"
            raise ValueError(f"{self._said(field)}: cannot be opened: {said}") from error

    def _commit(self) -> str:
        """The commit that the revision means now."""
        if self.revision is not None and _COMMIT.fullmatch(self.revision):
            return self.revision
        _library()
        import huggingface_hub

        try:
            self.revision = huggingface_hub.HfApi().dataset_info(self.place, revision=self.revision).sha
        except Exception as error:  # as above
            raise ValueError(
                f"{self._said('name')} is no file or folder here, and the hub does not answer for it: {_line(error)}"
            ) from error
        assert self.revision is not None
        return self.revision

    def _said(self, field: str) -> str:
        value = {"name": self.place, "config": self.config}
        value |= {_FIELDS[split]: name for split, name in self.splits.items()}
        return f"dataset.{field}: {value[field]!r}"


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ValueError("dataset: needs the package datasets; install mythos-lab[text]") from error
    return datasets


def _contents(path: Path) -> list[list[str]]:
    """Names and hashes of a file, or of all files in a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    hashed = []
    for file in files:
        with file.open("rb") as opened:
            name = file.relative_to(path).as_posix() if path.is_dir() else file.suffix
            hashed.append([name, hashlib.file_digest(opened, "sha256").hexdigest()])
    return hashed


def _line(error: Exception) -> str:
    """The first line of an error, or of the one that caused it where that says more."""
    cause = error.__cause__ if type(error).__name__ == "DatasetGenerationError" and error.__cause__ else error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
