"""Text files, split by file."""

from __future__ import annotations

import difflib
import hashlib
import os
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from mythos_lab.tasks.base import Split

NOT_LIBRARY = frozenset({"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3", "__pycache__"})
"""Folders beside the standard library's source that are left out of it: tests, applications, what others wrote."""

_FEWEST_TO_SPLIT = 3  # files; fewer would leave a split without any
_NUM_NAMED = 3


@dataclass
class Corpus:
    """The bytes of each split.

    Attributes:
        text: Bytes by split, files one after the other in the order of their paths.
        files: ``(path, sha256)`` of the files by split.
        skipped: Files that were left out though their name fits, with the reason.
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
    if place.exists():
        return place
    if not place.parent.is_dir():
        raise ValueError(f"path: no such file or folder {path!r}; its folder does not exist either")
    near = difflib.get_close_matches(place.name, sorted(p.name for p in place.parent.iterdir()), n=1, cutoff=0.5)
    hint = f"did you mean {str(place.with_name(near[0]))!r}?" if near else "nothing beside it has a name like it"
    raise ValueError(f"path: no such file or folder {path!r}; {hint}")


def read(
    place: Path, suffixes: tuple[str, ...], held_out: float, seed: int, leave_out: frozenset[str] = frozenset()
) -> Corpus:
    """Read a corpus: a file, or the files of a folder that end in ``suffixes``, without folders in ``leave_out``.

    Files go to a split by the hash of the seed and their path, in that order, so a new file moves at most a few
    others. A corpus of fewer than three files is split by position instead: the last bytes of each are held out.
    Links to folders are not followed.
    """
    skipped: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for name, path in _candidates(place, suffixes, leave_out):
        data, reason = _text(path)
        if reason:
            skipped[name] = reason
        else:
            contents[name] = data
    if not contents:
        why = summarised(skipped) or f"none ends in {', '.join(suffixes)}"
        raise ValueError(f"path: no usable text in {str(place)!r}: {why}")
    by_position = len(contents) < _FEWEST_TO_SPLIT
    parts = _by_position(contents, held_out) if by_position else _by_file(contents, held_out, seed)
    data_of: dict[Split, list[bytes]] = {"train": [], "validation": [], "test": []}
    files: dict[Split, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    for name, split, data in parts:
        data_of[split].append(data)
        files[split].append((name, hashlib.sha256(data).hexdigest()))
    return Corpus({split: b"".join(data) for split, data in data_of.items()}, files, skipped)


def summarised(skipped: dict[str, str]) -> str:
    """``3 skipped (a.txt: empty, b.txt: not UTF-8 at byte 0, ...)``; nothing where none was."""
    if not skipped:
        return ""
    named = [f"{name}: {reason}" for name, reason in list(skipped.items())[:_NUM_NAMED]]
    return f"{len(skipped)} skipped ({', '.join(named + ['...'] * (len(skipped) > _NUM_NAMED))})"


def _candidates(place: Path, suffixes: tuple[str, ...], leave_out: frozenset[str]) -> list[tuple[str, Path]]:
    """Files by their path within the corpus, in its order."""
    if not place.is_dir():
        return [(place.name, place)]
    found = []
    for folder, subfolders, names in os.walk(place, onerror=_refuse):
        # Folders left out are not entered: site-packages alone may hold a hundred times the library's files.
        subfolders[:] = [name for name in subfolders if name not in leave_out]
        paths = [Path(folder, name) for name in names if name.endswith(suffixes)]
        found += [(path.relative_to(place).as_posix(), path) for path in paths]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise ValueError(f"path: cannot list {error.filename!r}: {error.strerror}") from error


def _by_file(contents: dict[str, bytes], held_out: float, seed: int) -> list[tuple[str, Split, bytes]]:
    """Each file to one split; each held-out split gets its share of the number of files, at least one."""
    order = sorted(contents, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    num_held = max(1, round(held_out * len(order)))
    held: dict[str, Split] = dict.fromkeys(order[:num_held], "validation")
    held |= dict.fromkeys(order[num_held : 2 * num_held], "test")
    return [(name, held.get(name, "train"), data) for name, data in contents.items()]


def _by_position(contents: dict[str, bytes], held_out: float) -> list[tuple[str, Split, bytes]]:
    parts: list[tuple[str, Split, bytes]] = []
    for name, data in contents.items():
        held = int(held_out * len(data))
        first, second = len(data) - 2 * held, len(data) - held
        parts += [(name, "train", data[:first]), (name, "validation", data[first:second])]
        parts.append((name, "test", data[second:]))
    return parts


def _text(path: Path) -> tuple[bytes, str]:
    """A file's bytes, and why they cannot be used, if so."""
    if not path.is_file():
        return b"", "not a file"
    try:
        data = path.read_bytes()
        data.decode("utf-8")
    except OSError as error:
        return b"", f"unreadable: {error.strerror}"
    except UnicodeDecodeError as error:
        return b"", f"not UTF-8 at byte {error.start}"
    return data, "" if data else "empty"
