"""Packed windows, epochs, resumption and document masks."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mythos_lab.tasks import IGNORE, Text
from mythos_lab.tasks.text.packing import Packed, Stream, num_apart, spread

FIELDS = [
    {},
    {"packing": "packed"},
    {"packing": "packed", "document_mask": True, "tokenizer": {"kind": "bpe", "vocab_size": 300}},
    {"document_mask": True},
]


def make(folder, **fields):
    return Text(path=str(folder), length=16, validation_size=7, **fields)


def tensors(batch):
    return [t for t in (batch.tokens, batch.targets, batch.allowed) if t is not None]


@pytest.mark.parametrize("fields", FIELDS)
def test_a_new_object_goes_on_with_the_batch_that_would_have_come_next(folder, fields):
    whole = make(folder, **fields)
    batches = [whole.batch("train", range(k, k + 8)) for k in range(0, 2048, 8)]
    for k in (8, 496, 2040):
        resumed = make(folder, **fields).batch("train", range(k, k + 8))
        assert all(torch.equal(a, b) for a, b in zip(tensors(resumed), tensors(batches[k // 8]), strict=True))


@pytest.mark.parametrize("fields", FIELDS[1:3])
def test_two_processes_read_the_same_stream(folder, fields, tmp_path):
    program = (
        "import hashlib, sys; from mythos_lab.tasks import Text;"
        f"t = Text(path={str(folder)!r}, length=16, validation_size=7, **{fields!r});"
        "b = [t.batch('train', range(k, k + 8)).tokens.numpy().tobytes() for k in range(0, 800, 8)];"
        "print(hashlib.sha256(b''.join(b)).hexdigest(), t.fingerprint())"
    )
    # Both at once, and neither finds a cache: one makes it while the other waits.
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == [again, again] and again
    assert make(folder, **fields).fingerprint() == again.split()[1]


@pytest.mark.parametrize("num_tokens", [17, 18, 16 * 9, 16 * 9 + 1, 1000])
def test_every_epoch_visits_each_window_once_in_another_order(num_tokens):
    packed = Packed(num_tokens, 16, seed=3)
    assert packed.num_windows == (num_tokens - 1) // 16
    epochs = [packed.drawn(range(e * packed.num_windows, (e + 1) * packed.num_windows)) for e in range(3)]
    for starts in epochs:
        assert sorted(starts.tolist()) == list(range(0, 16 * packed.num_windows, 16))
        assert starts.max() + 16 < num_tokens, "the last target is a token"
    if packed.num_windows > 8:
        assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])
        assert not np.array_equal(epochs[0], Packed(num_tokens, 16, seed=4).drawn(range(packed.num_windows)))


def test_an_order_does_not_depend_on_what_was_asked_before():
    asked = Packed(1000, 16, 0)
    for k in (500, 3, 999, 61):
        assert np.array_equal(asked.drawn(range(k, k + 9)), Packed(1000, 16, 0).drawn(range(k, k + 9)))


@pytest.mark.parametrize("num_tokens", [17, 18, 100, 1000])
def test_windows_that_are_evaluated_share_no_token_and_reach_over_the_split(num_tokens):
    most = num_apart(num_tokens, 16)
    for size in {1, 2, most // 2, most - 1, most} & set(range(1, most + 1)):
        starts = spread(num_tokens, 16, range(size), size)
        assert (np.diff(starts) >= 16).all() and starts[0] == 0 and starts[-1] + 16 < num_tokens
        assert size == 1 or starts[-1] == 16 * (most - 1)


def test_stream_windows_may_begin_anywhere():
    assert set(Stream(30, 16, 0).drawn(range(2000)).tolist()) == set(range(14))


def test_packed_windows_are_the_documents_with_their_ends(folder):
    task = make(folder, packing="packed")
    documents = [bytes(part.data) for part in task.corpus.parts["train"]]
    stream = [token for data in documents for token in [*data, 256]]
    windows = task.prepared.splits["train"]
    assert windows.ids.tolist() == stream
    num = (len(stream) - 1) // 16
    batch = task.batch("train", range(num))
    expected = sorted((stream[i : i + 16], stream[i + 1 : i + 17]) for i in range(0, 16 * num, 16))
    assert sorted(zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True)) == expected
    assert task.vocab_size == 257 and batch.allowed is None and not task.has_mask


@pytest.mark.parametrize("packing", ["stream", "packed"])
def test_evaluation_has_no_more_windows_than_there_are(folder, packing):
    task = make(folder, packing=packing, test_size=10_000)
    num = (len(task.prepared.splits["test"].ids) - 1) // 16
    assert num < 10_000 and task.size("validation") == 7 and task.size("test") == num and task.size("ood") == 0
    assert len({tuple(row) for row in task.batch("test", range(num)).tokens.tolist()}) > num // 2
    with pytest.raises(IndexError, match=f"{num} of {num} in test"):
        task.batch("test", range(num + 1))
    with pytest.raises(IndexError, match="0 of 0 in ood"):
        task.batch("ood", range(1))


@pytest.mark.parametrize("fields", FIELDS[2:])
def test_a_document_mask_closes_documents_to_each_other(folder, fields):
    task = make(folder, **fields)
    end = task.tokenizer.end
    batch = task.batch("train", range(300))
    assert task.has_mask and batch.allowed.dtype == torch.bool
    crossed = 0
    for tokens, targets, allowed in zip(batch.tokens.tolist(), batch.targets, batch.allowed, strict=True):
        document = np.cumsum([0, *(token == end for token in tokens[:-1])])
        same = document[:, None] == document[None, :]
        assert np.array_equal(allowed.numpy(), same & np.tri(16, dtype=bool))
        unscored = [token == end for token in tokens]  # what follows an end is another document
        assert (targets == IGNORE).tolist() == unscored
        crossed += any(unscored)
    assert 0 < crossed < 300 and (batch.targets != IGNORE).any(1).all()


def test_a_sample_is_rendered_on_one_short_line(folder):
    task = Text(path=str(folder), length=400, held_out=0.1, packing="packed", document_mask=True)
    shown = task.render(task.batch("train", range(1)), 0)
    assert "\n" not in shown and len(shown) < 200 and " ... " in shown and " → " in shown
    short = make(folder, packing="packed")
    batch = short.batch("validation", range(1))
    assert short.render(batch, 0).startswith(bytes(batch.tokens[0].tolist()).decode(errors="replace")[:4])


def test_a_mask_needs_two_positions(folder):
    with pytest.raises(ValueError, match="^document_mask: length=1 "):
        Text(path=str(folder), length=1, document_mask=True)
