"""Documents from a folder that Hugging Face's ``datasets`` wrote by ``save_to_disk``; read as data, without it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from mythos_lab.tasks.text.formats import most_bytes
from mythos_lab.tasks.text.rows import check_column
from mythos_lab.tasks.text.skips import Item, text_or_reason

STATE, DICT = "state.json", "dataset_dict.json"
"""What ``datasets`` writes beside the rows of a data set, and of a dictionary of such by split."""

_MOST_BYTES = 2**20  # of these
_NUM_ROWS = 256  # at once: a dictionary of texts may repeat a long one in all of them
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream of Arrow that was written whole


class Saved:
    """Rows of one data set that was saved, in its order; needs pyarrow. Formats and transforms of it do not act.

    See :class:`mythos_lab.tasks.text.corpus.Source`.

    Args:
        folder: The folder of one data set.
        text_field: The column that holds the text.
        field: The recipe's field that names the folder.

    Raises:
        ValueError: The folder names files that are not in it; from ``documents``, one is not whole, or has no such
            column of text.
    """

    num_files: int | None = None

    def __init__(self, folder: Path, text_field: str, field: str = "path") -> None:
        self.place, self.text_field, self.field = str(folder), text_field, field
        self.files = self._named(folder)

    def key(self) -> str:
        digest = hashlib.sha256(json.dumps(["saved", self.text_field]).encode())
        for path in self.files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def documents(self) -> Iterator[Item]:
        try:
            import pyarrow
        except ImportError as error:
            raise ValueError(
                f"{self.field}: a data set that was saved needs pyarrow; install mythos-lab[text]"
            ) from error
        row = 0
        for path in self.files:
            num_bytes, most = 0, most_bytes(path)
            try:
                for value in _values(path, self.text_field):
                    row += 1
                    item = text_or_reason(f"row {row}", value)
                    num_bytes += len(item.data)
                    if num_bytes > most:
                        raise self._broken(path, f"its rows come to more than {most:,} bytes")
                    yield item
            except (pyarrow.ArrowException, OSError) as error:
                raise self._broken(path, f"after row {row}: {str(error).splitlines()[0]}") from None

    def num_bytes(self) -> int:
        """Bytes of the files of rows."""
        return sum(path.stat().st_size for path in self.files)

    def hint(self) -> str:
        return "it has no row"

    def unread(self) -> str:
        return ""

    def _named(self, folder: Path) -> list[Path]:
        """The files of rows, of which there may be none."""
        said = written(folder / STATE, self.field)
        if said.get("_indices_data_files"):
            raise ValueError(
                f"{self.field}: {self.place!r} was saved by a version of datasets from before 2.0; save it again"
            )
        files = said.get("_data_files")
        rows: list[Any] = files if isinstance(files, list) else [None]
        if not all(isinstance(file, dict) and isinstance(file.get("filename"), str) for file in rows):
            raise ValueError(f"{self.field}: {str(folder / STATE)!r} does not name the files of its rows")
        for name in (names := [file["filename"] for file in rows]):
            if PurePath(name).name != name or not (folder / name).is_file():
                raise self._broken(folder / name, "not a file of its folder")
        return [folder / name for name in names]

    def _broken(self, path: Path, why: str) -> ValueError:
        return ValueError(f"{self.field}: {str(path)!r} cannot be read as a data set that was saved: {why}")


def is_saved(folder: Path) -> bool:
    """Whether ``datasets`` saved a data set there."""
    return all((folder / name).is_file() for name in (STATE, "dataset_info.json"))


def splits_of(folder: Path, field: str) -> list[str]:
    """The splits of a dictionary of data sets that was saved there, each a folder of that name; none where there is
    no dictionary.

    Raises:
        ValueError: One of them is not there.
    """
    if not (folder / DICT).is_file() or (folder / STATE).is_file():
        return []
    names = written(folder / DICT, field).get("splits")
    for name in names if isinstance(names, list) and names else [None]:
        if (
            not isinstance(name, str)
            or name in ("", "..")
            or PurePath(name).name != name
            or not is_saved(folder / name)
        ):
            raise ValueError(
                f"{field}: {str(folder / DICT)!r} names a split {name!r}, which is no folder that was saved"
            )
    assert isinstance(names, list)
    return names


def written(path: Path, field: str) -> dict[str, Any]:
    """What stands in a small file of JSON; ``ValueError`` where it is no object."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES:,} bytes")
        said = json.loads(path.read_bytes())
        if not isinstance(said, dict):
            raise ValueError(f"{type(said).__name__}, not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{field}: {str(path)!r} cannot be read: {str(error).splitlines()[0]}") from None
    return said


def _values(path: Path, text_field: str) -> Iterator[Any]:
    """The column of a file of rows; what Arrow raises where it is not whole."""
    import pyarrow

    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_END)))
        if file.read() != _END:
            raise OSError("it is cut, or no stream of Arrow")
    with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_stream(file) as reader:
        check_column(text_field, reader.schema, path.parent.name)
        for batch in reader:
            column = batch.column(text_field)
            column.validate(full=True)  # Arrow trusts the places of texts in a file, which may lie outside of it
            for begin in range(0, len(column), _NUM_ROWS):
                yield from column.slice(begin, _NUM_ROWS).to_pylist()
