"""Tokens on disk: made once, found again, made anew when anything has changed or broken."""

import json

import numpy as np
import pytest

from mythos_lab.tasks import Text
from mythos_lab.tasks.text import cache as module


@pytest.fixture
def made(monkeypatch):
    """Names of the entries that were made, in order."""
    names = []
    make = module._make

    def counted(*arguments):
        entry = make(*arguments)
        names.append(entry.name)
        return entry

    monkeypatch.setattr(module, "_make", counted)
    return names


def packed(folder, **fields):
    return Text(**{"path": str(folder), "length": 16, "packing": "packed", **fields})


def tokens(task):
    return {split: (t.ids.tolist(), t.ends.tolist()) for split, t in task.prepared.splits.items()}


def entry_of(cache):
    (entry,) = [path for path in cache.iterdir() if path.is_dir()]
    return entry


def test_an_entry_is_made_once_and_mapped(folder, made, cache):
    first, second = packed(folder), packed(folder)
    assert len(made) == 1 and tokens(first) == tokens(second)
    assert isinstance(second.prepared.splits["train"].ids, np.memmap)
    assert second.prepared.splits["train"].ids.dtype == np.uint16
    assert (first.skips, first.describe(), first.identity()) == (second.skips, second.describe(), second.identity())
    assert sorted(p.name for p in entry_of(cache).iterdir()) == sorted(
        [
            "meta.json",
            "tokenizer.json",
            *(f"{s}.{end}" for s in ("train", "validation", "test") for end in ("bin", "ends")),
        ]
    )


def test_plain_bytes_of_files_need_no_cache(folder, made, cache):
    Text(path=str(folder), length=16).batch("train", range(4))
    assert not made and not cache.exists()


def test_the_trained_tokenizer_is_kept(folder, made, monkeypatch):
    fields = {"tokenizer": {"kind": "bpe", "vocab_size": 300}}
    first = packed(folder, **fields)
    monkeypatch.setattr("mythos_lab.tasks.text.tokenizer.BPE.fit", None)
    second = packed(folder, **fields)
    assert len(made) == 1 and second.identity() == first.identity() and second.fingerprint() == first.fingerprint()
    assert second.bits_per_byte("test") == first.bits_per_byte("test")


@pytest.mark.parametrize(
    "fields",
    [
        {"tokenizer": {"kind": "bpe", "vocab_size": 300}},
        {"packing": "stream", "tokenizer": {"kind": "bpe", "vocab_size": 300}},
        {"seed": 1},
        {"held_out": 0.1},
        {"max_bytes": 900},
    ],
)
def test_what_decides_the_tokens_decides_the_entry(folder, made, fields):
    assert packed(folder).fingerprint() != packed(folder, **fields).fingerprint()
    assert len(set(made)) == 2


def test_what_does_not_decide_the_tokens_shares_the_entry(folder, made):
    assert len({packed(folder, **f).fingerprint() for f in ({}, {"length": 8}, {"document_mask": True})}) == 3
    assert len(made) == 1


def test_a_text_that_is_cut_has_an_entry_for_each_length_of_its_stretches(folder, made):
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()))
    (folder.parent / "one.txt").write_text(text, encoding="utf-8")
    lengths = {length: packed(folder.parent / "one.txt", length=length) for length in (8, 64, 8)}
    assert len(made) == 2 and tokens(lengths[8]) != tokens(lengths[64])


def test_a_changed_corpus_gets_another_entry(folder, made):
    before = packed(folder)
    (folder / "f03.txt").write_text("something else " * 20)
    changed = packed(folder)
    (folder / "f03.txt").rename(folder / "g03.txt")
    renamed = packed(folder)
    assert len(set(made)) == 3 and len({t.fingerprint() for t in (before, changed, renamed)}) == 3


def _cut(entry):
    path = entry / "train.bin"
    path.write_bytes(path.read_bytes()[:-2])


def _flip(entry):
    path = entry / "validation.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _lie(entry):
    meta = json.loads((entry / "meta.json").read_text())
    meta["body"]["splits"]["train"]["num_bytes"] += 1
    (entry / "meta.json").write_text(json.dumps(meta))


def _of_another_version(entry):
    body = json.loads((entry / "meta.json").read_text())["body"]
    body["census"]["num_told_by_another_version"] = 1
    (entry / "meta.json").write_text(json.dumps({"sha256": module._digest(body), "body": body}))


BROKEN = {
    "tokens cut short": _cut,
    "a bit of the tokens flipped": _flip,
    "tokens of another split": lambda entry: (entry / "train.bin").write_bytes((entry / "test.bin").read_bytes()),
    "tokens gone": lambda entry: (entry / "validation.bin").unlink(),
    "ends changed": lambda entry: (entry / "test.ends").write_bytes(bytes(8)),
    "meta gone": lambda entry: (entry / "meta.json").unlink(),
    "meta cut short": lambda entry: (entry / "meta.json").write_text('{"sha256": "'),
    "meta of another kind": lambda entry: (entry / "meta.json").write_text("[]"),
    "meta changed": _lie,
    "meta of another version": _of_another_version,
    "tokenizer changed": lambda entry: (entry / "tokenizer.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_an_entry_that_is_not_whole_is_made_again(folder, made, cache, damage):
    expected = tokens(packed(folder))
    BROKEN[damage](entry_of(cache))
    assert tokens(packed(folder)) == expected and len(made) == 2
    assert tokens(packed(folder)) == expected and len(made) == 2


def test_nothing_is_left_of_a_build_that_was_stopped(folder, cache, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            packed(folder)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    packed(folder)
    entry = entry_of(cache)
    (entry / "meta.json").unlink()
    left = cache / f"{entry.name}.killed.part"
    left.mkdir()
    packed(folder)
    assert not left.exists()


def test_a_corpus_that_changes_while_it_is_read_is_refused(folder, cache, monkeypatch):
    write = module._write

    def changing(*args):
        (folder / "f00.txt").write_text("meanwhile")
        return write(*args)

    monkeypatch.setattr(module, "_write", changing)
    with pytest.raises(ValueError, match="^path: .* was changed while it was read"):
        packed(folder)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_large_vocabularies_take_four_bytes():
    class Large:
        vocab_size = 2**16 + 1

    assert module._dtype(Large()) == "<u4"


def test_a_cache_that_cannot_be_made_is_named(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="^MYTHOS_CACHE: cannot make the folder"):
        packed(folder)
