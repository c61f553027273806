"""Tokens on disk: made once for a corpus and a tokenizer, then mapped into memory.

An entry is a folder named by the hash of what its tokens are a function of: the documents, their division into
splits, the tokenizer. It holds the token ids of each split (``train.bin``, ...), where documents end
(``train.ends``, ...) and ``meta.json``, which is written last and carries a hash of itself and the size of every
file. An entry that does not agree with its ``meta.json`` is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from mythos_lab.tasks.base import Split
from mythos_lab.tasks.text.corpus import SPLITS, Corpus, Division, Source, gather
from mythos_lab.tasks.text.tokenizer import Tokenizer
from mythos_lab.tasks.text.tokens import Prepared, Tokens, encode

VARIABLE = "MYTHOS_CACHE"
_FORMAT = 1  # counted up when the same key would mean other bytes


def cache_folder() -> Path:
    """Where entries lie: ``$MYTHOS_CACHE/text``, or ``~/.cache/mythos_lab/text``.

    Raises:
        ValueError: It cannot be made.
    """
    root = os.environ.get(VARIABLE)
    folder = (Path(root).expanduser() if root else Path.home() / ".cache" / "mythos_lab") / "text"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{VARIABLE}: cannot make the folder {str(folder)!r}: {error.strerror}") from error
    return folder


def prepare(source: Source, tokenizer: Tokenizer, division: Division) -> Prepared:
    """The tokens of a source, from the cache or made now; fits or restores the tokenizer.

    Raises:
        ValueError: The source has no usable text, or not enough for the tokenizer.
    """
    key = _key(source, tokenizer, division)
    root = cache_folder()
    entry = root / key
    with FileLock(str(root / f"{key}.lock")):
        found = _opened(entry, tokenizer)
        if found is None:
            _make(entry, source, tokenizer, division)
            if _key(source, tokenizer, division) != key:
                shutil.rmtree(entry)
                raise ValueError(f"{source.field}: {source.place!r} was changed while it was read")
            found = _opened(entry, tokenizer)
    assert found is not None, "an entry just made is whole"
    return found


def _key(source: Source, tokenizer: Tokenizer, division: Division) -> str:
    return _digest([_FORMAT, source.key(), asdict(division), tokenizer.key(), tokenizer.end is not None])


def _make(entry: Path, source: Source, tokenizer: Tokenizer, division: Division) -> None:
    for left in entry.parent.glob(f"{entry.name}*.part"):  # of a process that was killed; the lock is ours
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{entry.name}.", suffix=".part", dir=entry.parent))
    try:
        spool = folder / "spool"
        corpus = gather(source, division, spool)
        tokenizer.fit(bytes(part.data) for part in corpus.parts["train"])
        splits = {split: _write(folder, split, corpus, tokenizer) for split in SPLITS}
        (folder / "tokenizer.json").write_text(tokenizer.state(), encoding="utf-8")
        body = {
            "splits": splits,
            "fingerprint": corpus.fingerprint(),
            "skipped": corpus.skipped,
            "num_files": corpus.num_files,
            "tokenizer": hashlib.sha256(tokenizer.state().encode()).hexdigest(),
        }
        del corpus  # it maps the spool
        spool.unlink()
        (folder / "meta.json").write_text(json.dumps({"sha256": _digest(body), "body": body}), encoding="utf-8")
        if entry.exists():
            shutil.rmtree(entry)
        os.replace(folder, entry)
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
        "bytes_on_disk": path.stat().st_size,
        "ends": hashlib.sha256(stored).hexdigest(),
        "num_bytes": num_bytes,
        "exact": exact,
    }


def _opened(entry: Path, tokenizer: Tokenizer) -> Prepared | None:
    """The entry, and the tokenizer restored; ``None`` where there is none or it is not whole."""
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        body = meta["body"]
        if meta["sha256"] != _digest(body):
            return None
        state = (entry / "tokenizer.json").read_bytes()
        if hashlib.sha256(state).hexdigest() != body["tokenizer"]:
            return None
        splits = {split: _mapped(entry, split, body["splits"][split], _dtype(tokenizer)) for split in SPLITS}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    tokenizer.restore(state.decode("utf-8"))
    return Prepared(splits, body["fingerprint"], body["skipped"], body["num_files"])


def _mapped(entry: Path, split: Split, said: dict[str, Any], dtype: str) -> Tokens:
    """One split; ``ValueError`` where its files are not those of which ``meta.json`` speaks."""
    path, stored = entry / f"{split}.bin", (entry / f"{split}.ends").read_bytes()
    if path.stat().st_size != said["bytes_on_disk"] or hashlib.sha256(stored).hexdigest() != said["ends"]:
        raise ValueError(f"{path} is not whole")
    # numpy cannot map a file of no bytes.
    ids = np.memmap(path, dtype, "r") if said["bytes_on_disk"] else np.zeros(0, dtype)
    return Tokens(ids, np.frombuffer(stored, "<i8"), said["num_bytes"], said["exact"])


def _dtype(tokenizer: Tokenizer) -> str:
    return "<u2" if tokenizer.vocab_size <= 2**16 else "<u4"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
