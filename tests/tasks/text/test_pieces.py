"""Long texts are read in pieces, and come to what the whole comes to."""

import hashlib
import json
import random
import subprocess
import sys
import unicodedata

import pytest

from mythos_lab.tasks import Text
from mythos_lab.tasks.text import division
from mythos_lab.tasks.text import pieces as module
from mythos_lab.tasks.text.files import Files
from mythos_lab.tasks.text.pieces import pieces
from mythos_lab.tasks.text.tokenizer import BPE, File

tokenizers = pytest.importorskip("tokenizers")

SCRAPS = ["apple", "naïve", "don't", "x=1;", "...", "日本語", "é", "12", "Ωδή", "_a", "<|end|>", "🙂", "̈", "Ⅷ", "ΟΔΟΣ"]
BLANKS = [" ", "\n", "  ", "\n\n", " \n ", "\t", "\r\n", "", "\u00a0", "   "]


def text(seed, num=400):
    rng = random.Random(seed)
    return "".join(rng.choice(SCRAPS) + rng.choice(BLANKS) for _ in range(num))


@pytest.fixture
def small(monkeypatch):
    """Pieces of a few words."""
    monkeypatch.setattr(module, "_PIECE", 50)
    monkeypatch.setattr(division, "_PIECE", 50)


def trained(model, trainer, pre_tokenizer, normalizer=None):
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer, made.normalizer = pre_tokenizer, normalizer
    made.train_from_iterator([text(seed) for seed in range(20)], trainer)
    return made


def of(kind):
    from tokenizers import Regex, models, normalizers, trainers
    from tokenizers import pre_tokenizers as pre

    bpe = trainers.BpeTrainer(vocab_size=600, show_progress=False, initial_alphabet=pre.ByteLevel.alphabet())
    # As Llama 3 and Qwen split, where white space goes with what stands before it.
    newer = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    match kind:
        case "gpt2":
            return trained(models.BPE(), bpe, pre.ByteLevel(add_prefix_space=False))
        case "a space before every text":
            return trained(models.BPE(), bpe, pre.ByteLevel(add_prefix_space=True))
        case "newer":
            split = pre.Split(newer, "isolated")
            return trained(models.BPE(), bpe, pre.Sequence([split, pre.ByteLevel(False, use_regex=False)]))
        case "sentencepiece":
            unigram = trainers.UnigramTrainer(vocab_size=300, show_progress=False, unk_token="<unk>",
                                              special_tokens=["<unk>"])  # fmt: skip
            return trained(models.Unigram(), unigram, pre.Metaspace())
        case "a mark before every text":
            marks = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
            plain = trainers.BpeTrainer(vocab_size=400, show_progress=False, special_tokens=["<unk>"])
            return trained(models.BPE(unk_token="<unk>"), plain, None, marks)
        case "bert":
            pieces = trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=["[UNK]"])
            return trained(
                models.WordPiece(unk_token="[UNK]"), pieces, pre.BertPreTokenizer(), normalizers.BertNormalizer()
            )


KINDS = {  # whether it can be read in pieces
    "gpt2": True, "newer": True, "sentencepiece": True, "bert": True,
    "a space before every text": None, "a mark before every text": False,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_come_to_the_tokens_of_the_whole(kind, tmp_path, small):
    of(kind).save(str(tmp_path / "tokenizer.json"))
    tokenizer = File(False, path=str(tmp_path / "tokenizer.json"))
    read = lambda said: tokenizer.encode([said])[0].tolist()  # noqa: E731
    for seed in range(100, 112):
        whole = text(seed)
        parts = list(pieces(memoryview(whole.encode()), read))
        assert b"".join(parts).decode() == whole
        assert [token for part in parts for token in read(part)] == read(whole)
        if KINDS[kind] is not None:
            assert (len(parts) > 10) == KINDS[kind]


def test_what_is_trained_on_pieces_is_what_is_trained_on_the_whole(small, monkeypatch):
    def learnt():
        tokenizer = BPE(False, vocab_size=400)
        tokenizer.fit(text(seed).encode() for seed in range(20))
        return tokenizer.state()

    in_pieces = learnt()
    monkeypatch.setattr(module, "_PIECE", 2**20)
    assert learnt() == in_pieces


def test_documents_are_the_same_by_their_pieces_as_by_the_whole(small):
    for seed in range(12):
        said = text(seed)
        plain = "".join(unicodedata.normalize("NFC", said).lower().split()).encode()
        assert division._content(memoryview(said.encode())) == hashlib.sha256(plain).digest()


def test_a_corpus_is_the_same_in_pieces(tmp_path, monkeypatch):
    (tmp_path / "long.txt").write_text(text(0, 6000))
    fields = {"path": str(tmp_path / "long.txt"), "length": 8, "tokenizer": {"kind": "bpe", "vocab_size": 400}}
    whole = Text(**fields).prepared
    monkeypatch.setattr(module, "_PIECE", 50)
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "another"))
    apart = Text(**fields).prepared
    for split, tokens in whole.splits.items():
        assert tokens.ids.tolist() == apart.splits[split].ids.tolist()
        assert tokens.ends.tolist() == apart.splits[split].ends.tolist()
        assert (tokens.num_bytes, tokens.exact) == (apart.splits[split].num_bytes, apart.splits[split].exact)


def test_many_bytes_are_mapped_and_few_are_read_as_they_stand(tmp_path, monkeypatch):
    (tmp_path / "long.txt").write_text(text(0, 6000))
    in_memory = Text(path=str(tmp_path / "long.txt"), length=8)
    monkeypatch.setattr("mythos_lab.tasks.text.task._IN_MEMORY", 100)
    mapped = Text(path=str(tmp_path / "long.txt"), length=8)
    for split, tokens in in_memory.prepared.splits.items():
        other = mapped.prepared.splits[split]
        assert type(other.ids).__name__ == "memmap" and other.ids.dtype == "u1"
        assert tokens.ids.tolist() == other.ids.tolist() and tokens.ends.tolist() == other.ends.tolist()
    assert in_memory.fingerprint() == mapped.fingerprint() and in_memory.describe() == mapped.describe()
    assert in_memory.bits_per_byte("test") == mapped.bits_per_byte("test")


@pytest.mark.parametrize("wrong", [b"\xff", b"\xc3", b"\xe2\x82"])
@pytest.mark.parametrize("place", [0, 2**20 - 1, 2**20, 2**20 + 7])
def test_a_byte_that_is_no_text_is_found_where_it_stands(wrong, place, tmp_path):
    data = ("é" * 2**20).encode()[: place - place % 2] + b"x" * (place % 2) + wrong
    (tmp_path / "a.txt").write_bytes(data)
    (item,) = Files(str(tmp_path / "a.txt"), (".txt",), "text").documents()
    assert (item.reason, item.detail) == ("not UTF-8", f"at byte {place}")


MEASURED = """
import resource, sys
from mythos_lab.tasks import Text
Text(path=sys.argv[1], length=64, tokenizer={"kind": "bpe", "vocab_size": 300})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_follow_the_text(tmp_path):
    """A long document is in memory as it is read and as it is mapped; encoded whole it took sixty times its bytes."""
    peaks = {}
    for num in (200_000, 600_000):
        place = tmp_path / f"{num}.txt"
        place.write_text(text(0, 10_000) * (num // 10_000))
        done = subprocess.run([sys.executable, "-c", MEASURED, str(place)], capture_output=True, text=True, check=True)
        peaks[place.stat().st_size] = int(done.stdout) * 1024
    (small, first), (large, second) = peaks.items()
    assert second - first < 12 * (large - small), json.dumps(peaks)
