"""What reads the text at a path, and at those of its own held-out splits."""

from __future__ import annotations

from typing import Literal

from mythos_lab.tasks.base import Split
from mythos_lab.tasks.text.division import HELD_OUT, SPLITS
from mythos_lab.tasks.text.files import Files, locate
from mythos_lab.tasks.text.formats import Format
from mythos_lab.tasks.text.own_splits import OnDisk, OwnSplits
from mythos_lab.tasks.text.saved import Saved, is_saved, splits_of

SUFFIXES = [".txt", ".md", ".rst", ".py"]
"""Files of a folder that count as text unless told otherwise."""


def at_paths(
    paths: dict[Split, str | None], suffixes: list[str], text_field: str, format: Format | Literal["auto"]
) -> OnDisk:
    """What is at the path of training, with the held-out splits that have paths or stand in the same data set.

    Raises:
        ValueError: As :func:`at_path`; or a data set has no split to train on, or one that has a path too.
    """
    fields: dict[Split, str] = {"train": "path", "validation": "validation_path", "test": "test_path"}
    path = paths["train"]
    if path is None:
        return at_path(None, suffixes, text_field, format)
    found = {split: at for split, at in paths.items() if at is not None}
    others: list[str] = []
    if splits := splits_of(locate(path), "path"):
        inside = {split: str(locate(path) / split) for split in SPLITS if split in splits}
        if "train" not in inside:
            raise ValueError(
                f"path: {path!r} has the splits {', '.join(splits)} and no train; path={locate(path) / splits[0]}, "
                "for example, takes one of them, and so do validation_path and test_path"
            )
        if twice := [split for split in HELD_OUT if split in inside and split in found]:
            raise ValueError(f"{fields[twice[0]]}: {path!r} has a {twice[0]} split; path={inside['train']} is without")
        found |= inside
        others = [name for name in splits if name not in inside]
    if suffixes != SUFFIXES and not any(locate(at, fields[split]).is_dir() for split, at in found.items()):
        raise ValueError(
            f"suffixes: {path!r} is a file, which is read whatever its ending; they choose among a folder's"
        )
    sources = {split: at_path(at, suffixes, text_field, format, fields[split]) for split, at in found.items()}
    return OwnSplits(sources, path, others) if others or len(sources) > 1 else sources["train"]


def at_path(
    path: str | None, suffixes: list[str], text_field: str, format: Format | Literal["auto"], field: str = "path"
) -> OnDisk:
    """A file, a folder of files, or a data set that was saved; ``None`` is the standard library's source.

    Raises:
        ValueError: There is nothing at the path, or it is said to hold something else than a data set that it holds.
    """
    if path is None:
        return Files(None, (".py",), text_field, format, field)
    place = locate(path, field)
    if splits := splits_of(place, field):
        named = ", ".join(str(place / name) for name in splits)
        raise ValueError(f"{field}: {path!r} has several splits; name one of them: {named}")
    if not is_saved(place):
        return Files(path, tuple(suffixes), text_field, format, field)
    if suffixes != SUFFIXES or format != "auto":
        said = "format" if format != "auto" else "suffixes"
        raise ValueError(f"{said}: {path!r} is a data set that was saved, whose files say themselves what they hold")
    return Saved(place, text_field, field)
