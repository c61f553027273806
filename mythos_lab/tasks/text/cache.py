"""Tokens on disk: made once for a corpus and a tokenizer, then mapped into memory.

An entry is a folder named by the hash of what its tokens are a function of: the documents, their division into
splits, the tokenizer. It holds the token ids of each split (``train.bin``, ...), where documents end
(``train.ends``, ...) and ``meta.json``, which is written last and carries a hash of itself and of every
file. An entry that does not agree with its ``meta.json``, to the bit, is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from mythos_lab.tasks.base import Split
from mythos_lab.tasks.text.corpus import Census, Corpus, Source, gather
from mythos_lab.tasks.text.division import SPLITS, Division
from mythos_lab.tasks.text.skips import Skips
from mythos_lab.tasks.text.tokenizer import Tokenizer
from mythos_lab.tasks.text.tokens import Prepared, Tokens, encode

VARIABLE = "MYTHOS_CACHE"
META, PART = "meta.json", ".part"
"""The file that says what an entry holds, whose time is that of the entry's last use; the ending of unfinished ones."""

_FORMAT = 3  # counted up when the same key would mean other bytes


def cache_folder() -> Path:
    """Where entries lie: ``$MYTHOS_CACHE/text``, or ``~/.cache/mythos_lab/text``.

    Raises:
        ValueError: It cannot be made.
    """
    folder = cache_root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{VARIABLE}: cannot make the folder {str(folder)!r}: {error.strerror}") from error
    return folder


def cache_root() -> Path:
    """The same place, whether or not there is such a folder."""
    root = os.environ.get(VARIABLE)
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "mythos_lab") / "text"


def prepare(source: Source, tokenizer: Tokenizer, division: Division, max_skipped: float) -> Prepared:
    """The tokens of a source, from the cache or made now; fits or restores the tokenizer.

    Raises:
        ValueError: The source has no usable text, not enough for the tokenizer, or too much that cannot be used.
    """
    key = _key(source, tokenizer, division)
    root = cache_folder()
    with FileLock(str(root / f"{key}.lock")):
        found = _found(root, key, tokenizer, division)
        if found is None:
            entry = _make(root, key, source, tokenizer, division, max_skipped)
            if _key(source, tokenizer, division) != key:
                shutil.rmtree(entry)
                raise ValueError(f"{source.field}: {source.place!r} was changed while it was read")
            found = _opened(entry, tokenizer)
    assert found is not None, "an entry just made is whole"
    # It may have been made where more was allowed to be left out.
    found.skips.check(sum(len(tokens.ends) for tokens in found.splits.values()), source.place, max_skipped)
    return found


def _key(source: Source, tokenizer: Tokenizer, division: Division) -> str:
    """What an entry is named after; the least length of stretches aside, which only a text that is cut depends on."""
    divided = {name: value for name, value in asdict(division).items() if name != "stretch"}
    return _digest([_FORMAT, source.key(), divided, tokenizer.key(), tokenizer.end is not None])


def _cut_name(key: str, division: Division) -> str:
    """The entry of a text that is cut into stretches."""
    return f"{key}-{division.stretch}"


def _found(root: Path, key: str, tokenizer: Tokenizer, division: Division) -> Prepared | None:
    whole = _opened(root / key, tokenizer)
    return _opened(root / _cut_name(key, division), tokenizer) if whole is None else whole


def _make(root: Path, key: str, source: Source, tokenizer: Tokenizer, division: Division, max_skipped: float) -> Path:
    """Make an entry, and say which."""
    for left in root.glob(f"{key}*{PART}"):  # of a process that was killed; the lock is ours
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=PART, dir=root))
    try:
        spool = folder / "spool"
        corpus = gather(source, division, max_skipped, spool)
        tokenizer.fit(part.data for part in corpus.parts["train"])
        splits = {split: _write(folder, split, corpus, tokenizer) for split in SPLITS}
        (folder / "tokenizer.json").write_text(tokenizer.state(), encoding="utf-8")
        body = {
            "splits": splits,
            "fingerprint": corpus.fingerprint(),
            "skips": corpus.skips.as_json(),
            "census": asdict(corpus.census),
            "tokenizer": hashlib.sha256(tokenizer.state().encode()).hexdigest(),
        }
        entry = root / (_cut_name(key, division) if corpus.census.stretches else key)
        del corpus  # it maps the spool
        spool.unlink()
        (folder / META).write_text(json.dumps({"sha256": _digest(body), "body": body}), encoding="utf-8")
        if entry.exists():
            shutil.rmtree(entry)
        os.replace(folder, entry)
        return entry
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, split: Split, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    dtype = _dtype(tokenizer)
    path = folder / f"{split}.bin"
    with path.open("wb") as file:
        ends, num_bytes, exact = encode(corpus, split, tokenizer, lambda ids: file.write(ids.astype(dtype).tobytes()))
    stored = np.array(ends, dtype="<i8").tobytes()
    (folder / f"{split}.ends").write_bytes(stored)
    return {
        "tokens": _file_digest(path),
        "ends": hashlib.sha256(stored).hexdigest(),
        "num_bytes": num_bytes,
        "exact": exact,
    }


def _opened(entry: Path, tokenizer: Tokenizer) -> Prepared | None:
    """The entry, and the tokenizer restored; ``None`` where there is none or it is not whole."""
    try:
        meta = json.loads((entry / META).read_text(encoding="utf-8"))
        body = meta["body"]
        if meta["sha256"] != _digest(body):
            return None
        state = (entry / "tokenizer.json").read_bytes()
        if hashlib.sha256(state).hexdigest() != body["tokenizer"]:
            return None
        splits = {split: _mapped(entry, split, body["splits"][split], _dtype(tokenizer)) for split in SPLITS}
        # Another version of ours may have written down more than this one knows.
        met = Census(**body["census"]), Skips(**body["skips"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with suppress(OSError):  # somebody else's cache may be readable only
        os.utime(entry / META)
    tokenizer.restore(state.decode("utf-8"))
    return Prepared(splits, body["fingerprint"], *met)


def _mapped(entry: Path, split: Split, said: dict[str, Any], dtype: str) -> Tokens:
    """One split; ``ValueError`` where its files are not those of which ``meta.json`` speaks."""
    path, stored = entry / f"{split}.bin", (entry / f"{split}.ends").read_bytes()
    if _file_digest(path) != said["tokens"] or hashlib.sha256(stored).hexdigest() != said["ends"]:
        raise ValueError(f"{path} is not whole")
    # numpy cannot map a file of no bytes.
    ids = np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)
    return Tokens(ids, np.frombuffer(stored, "<i8"), said["num_bytes"], said["exact"])


def _file_digest(path: Path) -> str:
    """Hash of a file of tokens, which this process reads once for as long as nobody writes it."""
    seen = path.stat()
    return _digest_of(path, seen.st_ino, seen.st_size, seen.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_of(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dtype(tokenizer: Tokenizer) -> str:
    return "<u1" if tokenizer.vocab_size <= 2**8 else "<u2" if tokenizer.vocab_size <= 2**16 else "<u4"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
