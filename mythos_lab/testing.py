"""The contracts of everything that can be registered: those of the blocks, and of tasks, schedules, optimisers and
tokenizers.

Example:
    >>> from mythos_lab.testing import Case, contracts
    >>> [contract.__name__ for contract in contracts("schedule")][-1]
    'its_shares_are_shares'
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from mythos_blocks import load_plugins
from mythos_blocks.testing.case import CONTEXT, Case, contract, contracts
from mythos_lab.tasks.base import IGNORE, Batch, Split, Task
from mythos_lab.tasks.randomness import CHUNK

__all__ = ["Case", "contracts"]

load_plugins()  # the lab's own slots are among them
_STEPS = 10
CONTEXT |= {
    "task": (),
    "measure": (),
    "dataset": (),
    "tokenizer": (True,),
    "schedule": (_STEPS,),
    "optimizer": ([nn.Parameter(torch.ones(3, 3))],),
}


@contract("task")
def a_sample_is_the_same_alone_and_across_the_edge_of_a_chunk(case: Case) -> None:
    """A sample is the same bytes whoever asks for it, and with which others."""
    indices = range(CHUNK - 2, CHUNK + 2)
    together = _tensors(case.alone().batch("train", indices))
    fresh: Task = case.alone()
    for row, index in reversed(list(enumerate(indices))):
        for whole, alone in zip(together, _tensors(fresh.batch("train", range(index, index + 1))), strict=True):
            assert torch.equal(whole[row], alone[0]), f"sample {index} is another one where it is asked for alone"


@contract("task")
def a_batch_belongs_to_its_caller(case: Case) -> None:
    """What a caller does to a batch changes none that is asked for later."""
    task: Task = case.alone()
    before = [tensor.clone() for tensor in _tensors(task.batch("train", range(4)))]
    for tensor in _tensors(task.batch("train", range(4))):
        tensor.zero_()
    for was, again in zip(before, _tensors(task.batch("train", range(4))), strict=True):
        assert torch.equal(was, again), "a batch that was changed comes back changed"


@contract("task")
def its_batches_are_what_it_declares(case: Case) -> None:
    """Shapes, dtypes and ranges of every split: those of :class:`~mythos_lab.tasks.base.Batch` and its attributes."""
    task: Task = case.alone()
    splits: list[Split] = ["train", "validation", "test", *(["ood"] if task.size("ood") else [])]  # type: ignore[list-item]
    for split in splits:
        batch = task.batch(split, range(16))
        positions = (task.ood_positions or task.positions) if split == "ood" else task.positions
        assert batch.tokens.shape == batch.targets.shape == (16, positions), f"{split}: {tuple(batch.tokens.shape)}"
        assert batch.tokens.dtype == batch.targets.dtype == torch.int64
        assert (batch.tokens >= 0).all() and (batch.tokens < task.vocab_size).all(), "a token beyond vocab_size"
        scored = batch.targets != IGNORE
        assert scored.any(1).all(), "a sample in which nothing is scored"
        targets = batch.targets[scored]
        assert (targets >= 0).all() and (targets < task.vocab_size).all(), "a target beyond vocab_size"
        if task.answers is not None and (split != "train" or not hasattr(task, "train_on")):
            assert torch.isin(targets, torch.tensor(task.answers)).all(), "a target that is none of the answers"
        assert (batch.allowed is not None) == task.has_mask
        if batch.allowed is not None:
            assert batch.allowed.dtype == torch.bool and batch.allowed.shape == (16, positions, positions)
            assert batch.allowed.diagonal(dim1=1, dim2=2).all(), "a position that may not read itself may read nothing"
        assert (batch.difficulty is not None) == (task.difficulty_name is not None)
        for values in (*batch.slices.values(), *([] if batch.difficulty is None else [batch.difficulty])):
            assert values.dtype == torch.int64 and values.shape in ((16,), (16, positions))
        assert all(len(values) == 16 for values in batch.records.values())


@contract("schedule")
def its_shares_are_shares(case: Case) -> None:
    """Of every step a share of the peak between 0 and 1, and not 0 throughout."""
    shares = [case.alone().share(step) for step in range(_STEPS)]
    assert all(math.isfinite(share) and 0 <= share <= 1 for share in shares), shares
    assert max(shares) > 0, "the learning rate is 0 in every step"


@contract("optimizer")
def its_steps_lead_down(case: Case) -> None:
    """On a bowl, steps come nearer to the ground."""
    parameter = nn.Parameter(torch.ones(3, 3))
    optimizer = case.cls.Spec(**case.fields).build([parameter]).torch
    losses = []
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert all(map(math.isfinite, losses)) and losses[-1] < losses[0], f"from {losses[0]:g} to {losses[-1]:g}"


@contract("tokenizer")
def what_it_encodes_it_decodes(case: Case) -> None:
    """Text comes back from tokens below ``vocab_size``, and another with its state gives the same tokens."""
    texts = ["for i in range(10): print(i)", "naïve café, 日本"] * 40
    tokenizer: Any = case.alone()
    tokenizer.fit(text.encode() for text in texts)
    encoded = tokenizer.encode(texts[:2])
    for text, tokens in zip(texts, encoded, strict=False):
        assert tokens.min() >= 0 and tokens.max() < tokenizer.vocab_size, "a token beyond vocab_size"
        assert tokenizer.decode(tokens.tolist()) == text, (
            f"{text!r} comes back as {tokenizer.decode(tokens.tolist())!r}"
        )
    again: Any = case.alone()
    again.restore(tokenizer.state())
    assert all((a == b).all() for a, b in zip(encoded, again.encode(texts[:2]), strict=True)), "its state is not all"


@contract("dataset")
def its_documents_are_the_same_when_read_again(case: Case) -> None:
    """Another reading gives the same documents in the same order, under the same key."""
    one, other = case.alone(), case.alone()
    documents = list(one.documents())
    assert documents and documents == list(other.documents()) and one.key() == other.key()


def _tensors(batch: Batch) -> list[Tensor]:
    named = [batch.tokens, batch.targets, batch.allowed, batch.difficulty, batch.real]
    return [t for t in (*named, *batch.slices.values(), *batch.records.values()) if t is not None]
