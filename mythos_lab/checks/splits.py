"""What is held out must not stand in training."""

from __future__ import annotations

from mythos_lab.checks.findings import Assembly, Finding
from mythos_lab.tasks.base import Batch, HeldOut, Task

_NUM_TRAINED, _NUM_HELD_OUT = 512, 128
_MAX_SHARE = 0.5  # short windows of text coincide, and lines of code do

_looked_at: dict[str, list[str]] = {}  # a study trains hundreds of models on the same data


def splits_share_nothing(assembly: Assembly) -> list[Finding]:
    """Samples of validation and test against the first that training reads."""
    task = assembly.task
    if (data := task.fingerprint()) not in _looked_at:
        _looked_at[data] = _shared(task)
    return [Finding("splits.shared", said) for said in _looked_at[data]]


def _shared(task: Task) -> list[str]:
    trained = set(_samples(task.batch("train", range(_NUM_TRAINED))))
    # A split's samples are drawn many at a time, which takes as long as all else that is checked.
    splits: tuple[HeldOut, ...] = ("validation",) if task.held_out_alike else ("validation", "test")
    found = []
    for split in splits:
        samples = _held_out(task, split)
        num_shared = sum(sample in trained for sample in samples)
        if num_shared > _MAX_SHARE * len(samples):
            found.append(
                f"{num_shared} of {len(samples)} samples of {split} stand among the first {_NUM_TRAINED} of train"
            )
    return found


def _held_out(task: Task, split: HeldOut) -> list[bytes]:
    size = min(task.size(split), _NUM_HELD_OUT)
    return _samples(task.batch(split, range(size))) if size else []


def _samples(batch: Batch) -> list[bytes]:
    """What a model sees of each sample and is to answer."""
    parts = [part for part in (batch.tokens, batch.targets, batch.allowed) if part is not None]
    return [b"".join(part[row].numpy().tobytes() for part in parts) for row in range(len(batch.tokens))]
