"""Tokenizers: lossless, the same wherever they are trained, and honest about bytes."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from mythos_lab.tasks import IGNORE, Text
from mythos_lab.tasks.text.tokenizer import BPE, Bytes, File
from tests.tasks.text.conftest import sentence

ODD = ["", " two  spaces\t\n", "naïve €\U0001f600", "<|endoftext|> is text here", "\x00\x7f"]
TRAINING = [sentence(i).encode() for i in range(30)]


def trained(vocab_size=300, with_end=True):
    tokenizer = BPE(with_end, vocab_size=vocab_size)
    tokenizer.fit(TRAINING)
    return tokenizer


def saved(path, *, special="<|endoftext|>", normalizer=False):
    """A file of the library, with an end and, if wanted, a normalizer that loses the case."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_str(trained().state())
    tokenizer.add_special_tokens([special])
    if normalizer:
        tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.enable_truncation(4)
    tokenizer.save(str(path))
    return str(path)


@pytest.mark.parametrize("make", [lambda p: Bytes(True), lambda p: trained(), lambda p: File(True, path=saved(p))])
def test_text_comes_back_and_bytes_add_up(make, tmp_path):
    tokenizer = make(tmp_path / "t.json")
    for text, tokens in zip(ODD, tokenizer.encode(ODD), strict=True):
        assert tokens.dtype == np.int64 and tokenizer.end not in tokens
        assert tokenizer.decode(tokens.tolist()) == text
        assert tokenizer.num_bytes()[tokens].sum() == len(text.encode())
    assert tokenizer.num_bytes()[tokenizer.end] == 0
    assert len(tokenizer.num_bytes()) == tokenizer.vocab_size > tokenizer.end
    closed = [*tokenizer.encode(["a"])[0].tolist(), tokenizer.end, *tokenizer.encode([b"b"])[0].tolist()]
    assert tokenizer.decode(closed) == "a<end>b"


def test_bytes_have_an_end_only_where_documents_do():
    assert (Bytes(False).vocab_size, Bytes(False).end) == (256, None)
    assert (Bytes(True).vocab_size, Bytes(True).end) == (257, 256)


def test_bpe_is_the_same_with_and_without_an_end():
    assert trained(with_end=False).state() == trained(with_end=True).state()
    assert trained(with_end=False).vocab_size == trained(with_end=True).vocab_size == 300


def test_bpe_trained_twice_is_identical_in_this_process_and_another():
    program = (
        "from mythos_lab.tasks.text.tokenizer import BPE; from tests.tasks.text.conftest import sentence;"
        "t = BPE(True, vocab_size=300); t.fit(sentence(i).encode() for i in range(30)); print(t.identity()['sha256'])"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert trained().identity()["sha256"] == trained().identity()["sha256"] == other
    assert trained(vocab_size=301).identity()["sha256"] != other


def test_a_vocabulary_that_the_text_does_not_give_is_a_mistake():
    with pytest.raises(ValueError, match=r"^tokenizer.vocab_size: 9000 tokens, but the training text gives \d+ at"):
        trained(vocab_size=9000)


def test_an_end_of_a_file_is_a_usual_one_or_the_named_one(tmp_path):
    usual, named = saved(tmp_path / "a.json"), saved(tmp_path / "b.json", special="<stop>")
    assert File(True, path=usual).loaded.id_to_token(File(True, path=usual).end) == "<|endoftext|>"
    assert File(False, path=usual).end is None
    assert File(True, path=named, end_token="<stop>").end == File(True, path=usual).end
    with pytest.raises(ValueError, match="^end_token: .*b.json' has no token '<|endoftext|>' or "):
        File(True, path=named)


def test_mistakes_in_a_file_are_named(tmp_path):
    (tmp_path / "broken.json").write_text('{"model": 3}')
    with pytest.raises(ValueError, match="^path: .*broken.json' is no file of the tokenizers library: "):
        File(False, path=str(tmp_path / "broken.json"))
    with pytest.raises(ValueError, match="^path: no such file .*did you mean '.*broken.json'"):
        File(False, path=str(tmp_path / "brokn.json"))


def test_the_text_task_takes_any_tokenizer_and_records_it(folder, tmp_path):
    bpe = Text(path=str(folder), length=16, tokenizer={"kind": "bpe", "vocab_size": 300})
    file = Text(path=str(folder), length=16, tokenizer={"kind": "file", "path": saved(tmp_path / "t.json")})
    plain = Text(path=str(folder), length=16)
    assert [t.vocab_size for t in (bpe, file, plain)] == [300, 300, 256]
    assert [t.identity()["tokenizer"] for t in (bpe, file, plain)] == ["bpe", "t.json", "bytes"]
    assert len({t.identity()["tokenizer_sha256"] for t in (bpe, file, plain)}) == 3
    assert len({t.identity()["text_sha256"] for t in (bpe, file, plain)}) == 1
    assert len({t.fingerprint() for t in (bpe, file, plain)}) == 3
    assert bpe.identity()["text_files"] == bpe.identity()["text_documents"] == "40"


def scored_text(task, split):
    """Number of scored targets of a split, and the bytes that they are decoded to."""
    targets = task.batch(split, range(task.size(split))).targets
    rows = [row[row != IGNORE].tolist() for row in targets]
    return sum(map(len, rows)), sum(len(_bytes(task, row)) for row in rows)


def _bytes(task, row):
    table = {c: b for b, c in _byte_level().items()}
    ids = [task.tokenizer.loaded.id_to_token(i) for i in row if i != task.tokenizer.end]
    return bytes(table[c] for token in ids for c in token)


def _byte_level():
    """The usual table from bytes to printable characters, written out once more."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(rest)}


@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}, {"packing": "packed", "document_mask": True}])
def test_bits_per_byte_of_a_uniform_model_are_those_counted_by_hand(folder, fields):
    task = Text(path=str(folder), length=16, validation_size=11, tokenizer={"kind": "bpe", "vocab_size": 300}, **fields)
    loss = torch.nn.functional.cross_entropy(torch.zeros(1, 300), torch.tensor([5])).item()
    found = {}
    for split in ("validation", "test"):
        num_tokens, num_bytes = scored_text(task, split)
        found[split] = loss * task.bits_per_byte(split)
        assert found[split] == pytest.approx(math.log2(300) * num_tokens / num_bytes, rel=1e-6)
    assert found["validation"] != found["test"]


def test_bits_per_byte_of_bytes():
    assert Text().bits_per_byte("validation") == Text().bits_per_byte("test") == 1 / math.log(2)


def test_tokens_that_do_not_add_up_to_the_text_are_counted_over_the_split(folder, tmp_path):
    for path in folder.iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace("naïve", "İİİ"), encoding="utf-8")
    path = saved(tmp_path / "t.json", normalizer=True)
    task = Text(path=str(folder), length=16, validation_size=3, tokenizer={"kind": "file", "path": path})
    for split in ("validation", "test"):
        tokens = task.prepared.splits[split]
        text = sum(len(part.data) for part in task.corpus.parts[split])
        assert not tokens.exact and tokens.num_bytes == text
        assert task.bits_per_byte(split) == pytest.approx(len(tokens.ids) / text / math.log(2))
