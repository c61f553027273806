"""Text files, split by file."""

from __future__ import annotations

import hashlib
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from mythos_blocks.registry import suggest

from mythos_lab.tasks.base import Split

_NOT_SOURCE = {"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3", "__pycache__"}


@dataclass
class Corpus:
    """The bytes of each split.

    Attributes:
        text: Bytes by split, files one after the other in the order of their paths.
        files: ``(path, sha256)`` of the files by split.
        skipped: Files that are not UTF-8 or are empty, with the reason.
    """

    text: dict[Split, bytes]
    files: dict[Split, list[tuple[str, str]]]
    skipped: dict[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """A hash of all bytes and where they went."""
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()


def locate(path: str | None) -> Path:
    """The file or folder of a corpus; ``ValueError`` with the nearest sibling where there is none."""
    if path is None:
        return Path(sysconfig.get_paths()["stdlib"])
    place = Path(path).expanduser()
    if not place.exists():
        siblings = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
        near = suggest(place.name, siblings).split("? (")[0] if siblings else "its folder does not exist either"
        raise ValueError(
            f"path: no such file or folder {path!r}; {near if near.startswith(('did', 'its')) else 'nothing near it'}"
        )
    return place


def read(place: Path, suffixes: tuple[str, ...], held_out: float, seed: int) -> Corpus:
    """Read a corpus.

    Files go to a split by the hash of their path, so a new file moves no other. A corpus of one file is split
    by position instead: its last bytes are held out.
    """
    paths = (
        [place]
        if place.is_file()
        else sorted(
            p
            for p in place.rglob("*")
            if p.is_file() and p.suffix in suffixes and not _NOT_SOURCE & set(p.relative_to(place).parts)
        )
    )
    skipped: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for path in paths:
        name = path.name if place.is_file() else path.relative_to(place).as_posix()
        data = path.read_bytes()
        reason = _unusable(data)
        if reason:
            skipped[name] = reason
        else:
            contents[name] = data
    if not contents:
        seen = (
            f"{len(skipped)} skipped ({', '.join(f'{n}: {r}' for n, r in list(skipped.items())[:3])})"
            if skipped
            else f"none ends in {', '.join(suffixes)}"
        )
        raise ValueError(f"path: no usable text in {str(place)!r}: {seen}")
    text: dict[Split, bytes] = {"train": b"", "validation": b"", "test": b""}
    files: dict[Split, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    parts = _by_position(contents, held_out) if len(contents) == 1 else _by_file(contents, held_out, seed)
    chunks: dict[Split, list[bytes]] = {"train": [], "validation": [], "test": []}
    for name, split, data in parts:
        chunks[split].append(data)
        files[split].append((name, hashlib.sha256(data).hexdigest()))
    text.update({split: b"".join(data) for split, data in chunks.items()})
    return Corpus(text, files, skipped)


def _by_file(contents: dict[str, bytes], held_out: float, seed: int) -> list[tuple[str, Split, bytes]]:
    """Each file to one split; with few files, the first in hash order still fill both held-out splits."""
    order = sorted(contents, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    num_held = max(1, round(held_out * len(order)))
    if len(order) < 3:
        return [part for name in order for part in _by_position({name: contents[name]}, held_out)]
    split = dict.fromkeys(order[:num_held], "validation") | dict.fromkeys(order[num_held : 2 * num_held], "test")
    return [(name, split.get(name, "train"), contents[name]) for name in sorted(contents)]  # type: ignore[misc]


def _by_position(contents: dict[str, bytes], held_out: float) -> list[tuple[str, Split, bytes]]:
    ((name, data),) = contents.items()
    held = int(held_out * len(data))
    first, second = len(data) - 2 * held, len(data) - held
    return [(name, "train", data[:first]), (name, "validation", data[first:second]), (name, "test", data[second:])]


def _unusable(data: bytes) -> str:
    if not data:
        return "empty"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}"
    return ""
