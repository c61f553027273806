"""Tensors from safetensors files: one file, or the shards that an index names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mythos_blocks.checkpoints.digest import DIGEST, digest_of

_SUFFIX, _INDEX = ".safetensors", ".safetensors.index.json"
_MAX_HEADER = 2**24  # bytes; a hundred thousand tensors, of the hundred million bytes that the format allows
_MAX_JSON = 2**24  # bytes of an index, or of a configuration

# What other files begin with.
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as torch.save writes it",
    b"\x80": "a pickle, as older versions of torch.save write it",
    b"GGUF": "a GGUF file",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a Git LFS pointer; git lfs pull brings the file itself",
}
_FROM_TORCH = "read it with torch.load(path, weights_only=True), and give its tensors to checkpoints.copy_into"


def safetensors() -> Any:
    """The library's functions for torch.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError("checkpoints need safetensors: pip install 'mythos-blocks[checkpoints]'") from error
    return safetensors.torch


def read(path: str | Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, of an index's shards, or of the folder that holds either.

    Raises:
        FileNotFoundError: There is nothing at that path.
        ImportError: safetensors is not installed.
        ValueError: There is something else, or the file is not whole.
    """
    safetensors()
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    if path.is_dir():
        path = _in_folder(path)
    if path.name.endswith(".json"):
        return _read_shards(path, device)
    return _read_file(path, device)


def _in_folder(folder: Path) -> Path:
    """The index or the file that a folder holds."""
    indices, files = sorted(folder.glob(f"*{_INDEX}")), sorted(folder.glob(f"*{_SUFFIX}"))
    named = {file for index in indices for file in _weight_map(index).values()}
    found = [*indices, *(file for file in files if file.name not in named)]
    if len(found) != 1:
        what = f"holds {', '.join(entry.name for entry in found)}; name one" if found else "holds none"
        raise ValueError(f"{folder} is a folder, where one {_SUFFIX} file or one {_INDEX} is expected, and {what}")
    return found[0]


def _weight_map(index: Path) -> dict[str, str]:
    """Which file of its folder holds each tensor."""
    try:
        read = read_json(index)
        named = read["weight_map"].items()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(
            f"{index} is no index of shards: expected JSON with a weight_map from tensors to files"
        ) from None
    for name, file in named:
        if not isinstance(file, str) or not _is_inside(file):
            raise ValueError(f"{index}: {name!r} is in {file!r}, and an index may name files in its own folder only")
    return dict(named)


def read_json(path: Path) -> Any:
    """The value of a JSON file of ordinary size.

    Raises:
        ValueError: It is larger, no plain file, or no JSON.
        OSError: It cannot be read.
    """
    if not path.is_file() or path.stat().st_size > _MAX_JSON:
        raise ValueError(f"{path}: expected a file of at most {_MAX_JSON:,} bytes")
    return json.loads(path.read_bytes())


def _is_inside(file: str) -> bool:
    parts = file.replace("\\", "/").split("/")
    return ":" not in file and "\0" not in file and not {"", ".", ".."}.intersection(parts)


def _read_shards(index: Path, device: torch.device | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    files: dict[str, set[str]] = {}
    for name, file in _weight_map(index).items():
        files.setdefault(file, set()).add(name)
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file, names in files.items():
        if not (index.parent / file).is_file():
            raise ValueError(f"{index} names the shard {file!r}, and there is no such file")
        shard, notes = _read_file(index.parent / file, device)
        if differing := sorted(names.symmetric_difference(shard)):
            where = "the index has it in this shard" if differing[0] in names else "the index has it elsewhere"
            raise ValueError(f"{index.parent / file}: {differing[0]!r} is not as the index says: {where}")
        tensors |= shard
        metadata |= notes
    return tensors, metadata


def _read_file(path: Path, device: torch.device | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    _check(path)
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            # Copies are aligned in memory, which kernels, and so the last bits of what they compute, depend on.
            tensors, metadata = {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {_one_line(error)}") from error
    if DIGEST in metadata and metadata[DIGEST] != digest_of(tensors, metadata):
        raise ValueError(f"{path} does not hold what was written to it: its checksum is another")
    return tensors, metadata


def _check(path: Path) -> None:
    """Refuse what is no whole safetensors file, by its first bytes and the sizes that its header declares."""
    if not path.is_file():
        raise ValueError(f"{path} is neither a file nor a folder; expected a safetensors file")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
        begun = start[8:9] == b"{"  # after its length, of which the first byte may be a pickle's
        for mark, what in _FOREIGN.items():
            if start.startswith(mark) and not begun:
                advice = f"; {_FROM_TORCH}" if "torch" in what else ""
                raise ValueError(f"{path} is not a safetensors file, but {what}{advice}")
        if size < 8:
            raise ValueError(f"{path} is not a safetensors file: it is {'empty' if not size else 'cut short'}")
        length = int.from_bytes(start[:8], "little")
        if not begun or length > _MAX_HEADER:
            raise ValueError(f"{path} is not a safetensors file: it does not begin with a header")
        if length > size - 8:
            raise ValueError(f"{path} is cut short: its header is {length:,} bytes, and {size - 8:,} are there")
        file.seek(8)
        header = file.read(length)
    try:
        entries = json.loads(header, object_pairs_hook=_once)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        end, there = max(ends, default=0), size - 8 - length
        cut = end > there
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise ValueError(f"{path} is not a safetensors file: its header does not say which tensors it holds") from None
    if cut:
        raise ValueError(f"{path} is cut short: its tensors are {end:,} bytes, and {there:,} are there")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are each there once: of two, other readers might take the other."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
