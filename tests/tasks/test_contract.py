"""What every registered task promises beyond its own subject; see test_tasks.py for bytes across processes."""

import pytest
import torch

from mythos_blocks import load_plugins
from mythos_blocks.registry import slots
from mythos_lab.tasks import IGNORE
from mythos_lab.tasks.randomness import CHUNK

load_plugins()
KINDS = sorted(slots()["task"].kinds)
SPLITS = ("train", "validation", "test")

# Another valid value for each field that decides the data, so that fingerprints can be held against it.
OTHER = {
    "reachability": {"num_nodes": 11, "min_hops": 2, "max_hops": 3, "validation_size": 7, "test_size": 7, "seed": 1},
    "text": {"length": 64, "held_out": 0.1, "max_bytes": 4096, "validation_size": 7, "test_size": 7, "seed": 1},
}


def make(kind, **fields):
    return slots()["task"].kinds[kind](**fields)


def tensors(batch):
    return [t for t in (batch.tokens, batch.targets, batch.allowed, batch.difficulty) if t is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_fields_give_equal_fingerprints_and_every_other_field_another(kind):
    plain = make(kind).fingerprint()
    assert make(kind).fingerprint() == plain
    changed = {name: make(kind, **{name: value}).fingerprint() for name, value in OTHER.get(kind, {}).items()}
    assert len({plain, *changed.values()}) == len(changed) + 1, changed


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_the_same_alone_and_across_the_edge_of_a_chunk(kind):
    task = make(kind)
    together = tensors(task.batch("train", range(CHUNK - 2, CHUNK + 2)))
    for row, index in enumerate(range(CHUNK - 2, CHUNK + 2)):
        for whole, alone in zip(together, tensors(make(kind).batch("train", range(index, index + 1))), strict=True):
            assert torch.equal(whole[row], alone[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_belongs_to_its_caller(kind):
    task = make(kind)
    before = [t.clone() for t in tensors(task.batch("train", range(4)))]
    for tensor in tensors(task.batch("train", range(4))):
        tensor.zero_()
    for was, again in zip(before, tensors(task.batch("train", range(4))), strict=True):
        assert torch.equal(was, again)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", SPLITS)
def test_dtypes_and_ranges(kind, split):
    task = make(kind)
    batch = task.batch(split, range(16))
    assert batch.tokens.dtype == batch.targets.dtype == torch.int64
    scored = batch.targets != IGNORE
    assert scored.any(1).all(), "every sample scores something"
    assert (batch.targets[scored] >= 0).all() and (batch.targets[scored] < task.vocab_size).all()
    if task.answers is not None:
        assert torch.isin(batch.targets[scored], torch.tensor(task.answers)).all()
    if batch.allowed is not None:
        assert batch.allowed.dtype == torch.bool
        assert batch.allowed.shape == (16, task.positions, task.positions)
        assert batch.allowed.diagonal(dim1=1, dim2=2).all(), "a softmax over nothing is not a number"
    if batch.difficulty is not None:
        assert batch.difficulty.dtype == torch.int64 and batch.difficulty.shape == (16,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_splits_that_are_evaluated_end_at_their_size(kind, split):
    task = make(kind, **{f"{split}_size": 5})
    assert task.size(split) == 5 and len(task.batch(split, range(5)).tokens) == 5
    with pytest.raises(IndexError, match=f"5 of 5 in {split}"):
        task.batch(split, range(3, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_an_oracle_is_always_right(kind):
    task = make(kind)
    if not hasattr(task, "solve"):
        pytest.skip(f"{kind} has no oracle")
    for split in SPLITS:
        batch = task.batch(split, range(2000))
        assert torch.equal(task.solve(batch), batch.targets[batch.targets != IGNORE])
