"""Splits share no document: copies stay together, one text is cut into stretches, and windows do not overlap."""

import itertools

import numpy as np
import pytest

from mythos_lab.tasks import Text
from tests.tasks.text.conftest import sentence
from tests.tasks.text.corpora import CORPORA

SPLITS = ("train", "validation", "test")
TEXTS = [sentence(i) for i in range(40)]
LINES = "".join(sentence(i, words=20) for i in range(400))  # some 40 kB


def plain(data):
    return "".join(bytes(data).decode().lower().split())


def documents(task):
    return {split: [plain(part.data) for part in task.corpus.parts[split]] for split in SPLITS}


def windows(task, split):
    size = 10_000 if split == "train" else task.size(split)
    return task.batch(split, range(size)).tokens.numpy()


def assert_nothing_shared(task):
    found = documents(task)
    for a, b in itertools.combinations(SPLITS, 2):
        assert not set(found[a]) & set(found[b]), (a, b)
    for split in ("validation", "test"):
        assert found[split] and len(set(found[split])) == len(found[split])
    return found


@pytest.mark.parametrize("by", ["content", "position"])
@pytest.mark.parametrize("kind", CORPORA)
def test_copies_are_in_one_split(kind, by, tmp_path):
    """Forty texts five times each, some of them in capitals or in other lines."""
    changes = (str, str.upper, str, lambda text: text.replace(" ", "\n"), lambda text: f"  {text}\n")
    task = Text(
        **CORPORA[kind](tmp_path, [change(text) for change in changes for text in TEXTS]), length=16, split_by=by
    )
    found = assert_nothing_shared(task)
    assert set().union(*found.values()) == {plain(text.encode()) for text in TEXTS}
    assert task.identity()["text_copies"] == "160" and "160 of 200 documents are copies, " in task.describe()
    assert any("160 of 200 documents of " in line and "are copies" in line for line in task.remarks())
    assert len(found["train"]) == (180 if by == "content" else 36)


@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}, {"tokenizer": {"kind": "bpe", "vocab_size": 300}}])
@pytest.mark.parametrize("num", [1, 2])
def test_a_text_without_documents_is_cut_into_stretches(num, fields, tmp_path):
    for number, text in enumerate((LINES, LINES[::-1])[:num]):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    task = Text(path=str(tmp_path), length=16, **fields)
    found = assert_nothing_shared(task)
    assert 11 <= len(found["validation"]) == len(found["test"]) <= 21
    assert len(found["train"]) <= 2 * 21 + num, "training text breaks only where something is held out"
    lengths = {len(part.data) for part in task.corpus.parts["validation"]}
    at_least = 16 * (4 if "tokenizer" in fields else 1)
    assert all(length >= at_least for length in lengths)
    assert "too few documents to split: cut into " in task.describe()


def test_stretches_lie_all_over_the_text(tmp_path):
    (tmp_path / "a.txt").write_text(LINES, encoding="utf-8")
    whole = LINES.encode()
    places = [whole.index(part.data) / len(whole) for part in Text(path=str(tmp_path), length=16).corpus.parts["test"]]
    assert min(places) < 0.25 and max(places) > 0.75


def test_the_end_is_held_out_where_a_recipe_says_so(tmp_path):
    """As in the published splits of enwik8 and text8: 90, 5 and 5 million bytes."""
    (tmp_path / "a.txt").write_bytes(bytes(i * i % 94 + 32 + i // 4000 % 2 for i in range(10_000)))
    text = Text(path=str(tmp_path), length=16, split_by="position").corpus.text
    assert b"".join(text[split] for split in SPLITS) == (tmp_path / "a.txt").read_bytes()
    assert [len(text[split]) for split in SPLITS] == [9000, 500, 500]


def test_a_stretch_that_stands_again_is_not_held_out(tmp_path):
    """What stands twice at the places where a text is cut goes to one split, and is held out once."""
    size = 128
    stretches = [(sentence(i) * 2)[:size] for i in range(60)]
    (tmp_path / "a.txt").write_text("".join(stretches * 3).replace("ï", "i").replace("€", "e"), encoding="utf-8")
    assert_nothing_shared(Text(path=str(tmp_path), length=size, held_out=0.1))


def test_a_new_document_moves_few(tmp_path):
    def splits(texts):
        (tmp_path / str(len(texts))).mkdir()
        task = Text(**CORPORA["rows.jsonl"](tmp_path / str(len(texts)), texts), length=8, held_out=0.1)
        return {text: split for split, found in documents(task).items() for text in found}

    before = splits([sentence(i) for i in range(60)])
    assert sorted(before.values()).count("validation") == sorted(before.values()).count("test") == 6
    for extra in range(1, 12):
        after = splits([sentence(i) for i in range(60 + extra)])
        assert sum(after[text] != split for text, split in before.items()) <= 3
        before = after


@pytest.mark.parametrize("held_out", [0.01, 0.3, 0.49])
@pytest.mark.parametrize("num", [3, 4, 10])
@pytest.mark.parametrize("by", ["content", "position"])
def test_every_split_has_a_document(by, num, held_out, tmp_path):
    fields = CORPORA["rows.jsonl"](tmp_path, TEXTS[:num])
    assert all(documents(Text(**fields, length=8, held_out=held_out, split_by=by)).values())


@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}])
@pytest.mark.parametrize("kind", ["rows.jsonl", "one text"])
def test_no_window_reaches_into_another_split(kind, fields, tmp_path):
    """Every byte of a text is one of its own, so that a window tells where it comes from."""
    text = "".join(chr(0x4E00 + i) for i in range(3000))
    if kind == "one text":
        (tmp_path / "a.txt").write_text(text, encoding="utf-8")
        fields = {**fields, "path": str(tmp_path)}
    else:
        fields = {**fields, **CORPORA[kind](tmp_path, [text[i : i + 50] for i in range(0, 3000, 50)])}
    task = Text(**fields, length=12, held_out=0.1, validation_size=10_000, test_size=10_000)
    seen = {split: set() for split in SPLITS}
    for split in SPLITS:
        for row in windows(task, split):
            letters = bytes(row[row < 256].tolist()).decode("utf-8", "ignore")
            seen[split] |= set(letters)
    for a, b in itertools.combinations(SPLITS, 2):
        assert seen[a] and seen[b] and not seen[a] & seen[b]


@pytest.mark.parametrize("most", [100, 101, 102])
def test_characters_are_not_cut(most, tmp_path):
    (tmp_path / "a.txt").write_text("".join(chr(0x4E00 + i) for i in range(1000)), encoding="utf-8")
    task = Text(path=str(tmp_path), length=16, held_out=0.1, max_bytes=most)
    assert all(part.data.obj is not None and bytes(part.data).decode() for s in SPLITS for part in task.corpus.parts[s])
    assert len(task.corpus.text["train"]) <= most


def test_max_bytes_caps_the_training_text_only(tmp_path):
    fields = CORPORA["rows.jsonl"](tmp_path, TEXTS)
    whole, capped = (Text(**fields, length=8, held_out=0.1, max_bytes=most) for most in (None, 400))
    assert (
        whole.corpus.text["train"][:400].startswith(capped.corpus.text["train"])
        and len(capped.corpus.text["train"]) > 390
    )
    assert np.array_equal(windows(whole, "test"), windows(capped, "test"))
