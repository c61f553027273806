"""Files that carry a checksum of what they hold and name the run that they belong to.

The seal stands in the file, at its end, so that file and seal appear in one step whatever kills the process: as the
last entry of a JSON object, as a comment in YAML, and behind the archive of a checkpoint, which torch reads past. It is
SHA-256 over the file's name, the run's key and every byte before the seal.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import lru_cache
from logging import getLogger
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mythos_lab.recipe.errors import Misplaced, RecipeError, from_validation
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.reading import read_at_most
from mythos_lab.training.forms import FORMS

_JSON_START, _JSON_END = b',\n "sealed": ', b"\n}\n"
_START, _END = b"\n# sealed: ", b"\n"
_SEAL = re.compile(rb'\{"of": "([^"\\]*)", "sha256": "([0-9a-f]{64})"\}')
_LONGEST = 1024  # bytes of a seal and what stands around it
_CHUNK = 1 << 20
_MAX_BYTES = 1 << 24  # of a JSON or YAML file


class Damaged(Misplaced):
    """A file does not hold what was written to it, or is another run's."""


def write_json(path: Path, values: dict[str, Any], owner: str) -> None:
    """Write a JSON object with its seal."""
    assert values, "an object that says something"
    body = json.dumps(values, indent=1, allow_nan=False).removesuffix("\n}").encode()
    write_whole(path, body + _JSON_START + _seal(path.name, owner, _digest(path.name, owner, body)) + _JSON_END)


def write_yaml(path: Path, text: str, owner: str) -> None:
    """Write YAML with its seal."""
    body = text.rstrip("\n").encode()
    write_whole(path, body + _START + _seal(path.name, owner, _digest(path.name, owner, body)) + _END)


def seal(path: Path, name: str, owner: str) -> None:
    """Seal a file that was written, which will have another name; it is on the disk when this returns."""
    digest = _new_digest(name, owner)
    with path.open("r+b") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        file.write(_START + _seal(name, owner, digest.hexdigest()) + _END)
        file.flush()
        os.fsync(file.fileno())


def read_json(path: Path, owner: str | None = None) -> dict[str, Any]:
    """The object in a JSON file, without its seal.

    Args:
        path: The file.
        owner: The key of the run that it is to belong to; ``None`` takes the file's own word.

    Raises:
        RecipeError: There is no such file.
        Damaged: It is not as it was written, another run's, or holds what no run writes.
    """
    body, sealed = _body(path, _JSON_START, _JSON_END, owner)
    try:
        values = json.loads(body + _JSON_END if sealed else body)
    except (ValueError, RecursionError):
        raise Damaged(_damaged(path, "it is no JSON")) from None
    if not isinstance(values, dict):
        raise Damaged(_damaged(path, "it holds no JSON object"))
    if (form := FORMS.get(path.name)) is not None:
        try:
            form.validate_python(values)
        except ValidationError as error:
            raise Damaged(from_validation(path, error).lines[0]) from None
    return values


def read_yaml(path: Path, owner: str | None = None) -> str:
    """The text of a YAML file; arguments and errors as of :func:`read_json`."""
    body, _ = _body(path, _START, _END, owner)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Damaged(_damaged(path, "it is no text")) from None


def verify(path: Path, owner: str) -> None:
    """Hold a file of any kind against the seal at its end; errors as of :func:`read_json`."""
    if not path.is_file():
        raise RecipeError(f"{path}: there is no such file")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            raise Damaged(_damaged(path, "it is empty"))
        file.seek(max(0, size - _LONGEST))
        end = file.read()
        before, found, said = end.rpartition(_START)
        if not found:
            return _unsealed(path, end, owner)
        left = size - len(end) + len(before)
        digest = _new_digest(path.name, _owner(path, said))
        file.seek(0)
        while left and (chunk := file.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    if not said.endswith(_END):
        raise Damaged(_damaged(path, "it does not end with its checksum"))
    _compare(path, said.removesuffix(_END), digest.hexdigest(), owner)
    return None


def is_sealed(path: Path) -> bool:
    """Whether there is a file that ends with a seal, whatever the seal says."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST))
        return bool(_SEAL.search(file.read(_LONGEST)))


@lru_cache(maxsize=1024)
def cannot_verify(folder: Path) -> None:
    """Say once of a folder that its files are taken as they are."""
    getLogger(__name__).warning("%s: from before files carried checksums; read as it is, not verified", folder)


def _body(path: Path, start: bytes, end: bytes, owner: str | None) -> tuple[bytes, bool]:
    """What a file holds before its seal, which is verified; and whether there is one."""
    content = _content(path)
    body, _, said = content.rpartition(start)
    if not body:
        _unsealed(path, content, owner)
        return content, False
    if not said.endswith(end):
        raise Damaged(_damaged(path, "it does not end with its checksum"))
    _compare(path, said.removesuffix(end), _digest_by(path, said, body), owner)
    return body, True


def _content(path: Path) -> bytes:
    try:
        content = read_at_most(path, _MAX_BYTES, "file of a run's folder")
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such file") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    if not content.strip():
        raise Damaged(_damaged(path, "it is empty"))
    return content


def _unsealed(path: Path, content: bytes, owner: str | None) -> None:
    """What is without a seal is from before there were any, or cut: as its run's first file is."""
    if owner is not None:
        raise Damaged(_damaged(path, "its checksum is missing"))
    if _SEAL.search(content[-_LONGEST:]):
        raise Damaged(_damaged(path, "it does not end with its checksum"))


def _compare(path: Path, said: bytes, digest: str, owner: str | None) -> None:
    found = _SEAL.fullmatch(said)
    if found is None or found[2].decode() != digest:
        raise Damaged(_damaged(path, "its checksum is another"))
    if owner is not None and (of := found[1].decode()) != owner:
        raise Damaged(f"{path}: belongs to run {of[:8]}, and this folder to run {owner[:8]}; put its own file back")


def _owner(path: Path, said: bytes) -> str:
    found = _SEAL.match(said)
    if found is None:
        raise Damaged(_damaged(path, "its checksum is another"))
    return found[1].decode(errors="replace")


def _digest_by(path: Path, said: bytes, body: bytes) -> str:
    return _digest(path.name, _owner(path, said), body)


def _damaged(path: Path, what: str) -> str:
    return f"{path}: is not as it was written: {what}; bring it back from a copy, or train in another folder"


def _digest(name: str, owner: str, body: bytes) -> str:
    digest = _new_digest(name, owner)
    digest.update(body)
    return digest.hexdigest()


def _new_digest(name: str, owner: str) -> Any:
    return hashlib.sha256(f"{name}\0{owner}\0".encode())


def _seal(name: str, owner: str, digest: str) -> bytes:
    return f'{{"of": {json.dumps(owner)}, "sha256": "{digest}"}}'.encode()
