"""Tasks: a contract over all of them, and what each promises."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mythos_blocks import load_plugins
from mythos_blocks.registry import slots
from mythos_lab.tasks import IGNORE, Reachability, Text
from mythos_lab.tasks.audit import bayes_accuracy
from mythos_lab.tasks.graphs import graph_pairs, reaches

load_plugins()
TASKS = sorted(slots()["task"].kinds)


def fields(batch):
    return [t for t in (batch.tokens, batch.targets, batch.allowed, batch.difficulty) if t is not None]


@pytest.mark.parametrize("kind", TASKS)
def test_samples_do_not_depend_on_the_batch_that_asks_for_them(kind):
    task, other = (slots()["task"].kinds[kind]() for _ in range(2))
    whole = task.batch("train", range(1000, 1060))
    parts = [other.batch("train", range(start, start + 20)) for start in (1040, 1020, 1000)][::-1]
    for i, tensor in enumerate(fields(whole)):
        assert torch.equal(tensor, torch.cat([fields(part)[i] for part in parts]))


@pytest.mark.parametrize("kind", TASKS)
def test_the_same_seed_gives_the_same_bytes_in_another_process(kind):
    script = f"""
from mythos_blocks import load_plugins; from mythos_blocks.registry import lookup; import hashlib
load_plugins(); task = lookup("task", "{kind}")(); batch = task.batch("train", range(5000, 5008))
print(hashlib.sha256(batch.tokens.numpy().tobytes() + batch.targets.numpy().tobytes()).hexdigest(), task.fingerprint())
"""
    one, other = (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert one == other and len(one.split()) == 2


@pytest.mark.parametrize("kind", TASKS)
def test_splits_and_seeds_differ_and_splits_end(kind):
    task, seeded = slots()["task"].kinds[kind](), slots()["task"].kinds[kind](seed=1)
    batches = [task.batch(split, range(8)) for split in ("train", "validation", "test")]
    assert not torch.equal(batches[0].tokens, batches[1].tokens) and not torch.equal(
        batches[1].tokens, batches[2].tokens
    )
    assert not torch.equal(batches[0].tokens, seeded.batch("train", range(8)).tokens)
    assert task.fingerprint() != seeded.fingerprint()
    with pytest.raises(IndexError):
        task.batch("validation", range(task.size("validation"), task.size("validation") + 1))


@pytest.mark.parametrize("kind", TASKS)
def test_batches_have_the_declared_shapes(kind):
    task = slots()["task"].kinds[kind]()
    batch = task.batch("train", range(6))
    assert batch.tokens.shape == batch.targets.shape == (6, task.positions)
    assert batch.tokens.min() >= 0 and batch.tokens.max() < task.vocab_size
    scored = batch.targets[batch.targets != IGNORE]
    assert len(scored) and scored.max() < task.vocab_size
    assert (batch.allowed is not None) == task.has_mask
    assert (batch.difficulty is not None) == (task.difficulty_name is not None)


def test_the_oracle_solves_reachability_and_labels_are_even():
    task = Reachability()
    batch = task.batch("train", range(4096))
    answers = batch.targets[batch.targets != IGNORE]
    assert torch.equal(task.solve(batch), answers)
    for hops in range(1, 5):
        share = (answers[batch.difficulty == hops] == 4).float().mean()
        assert abs(float(share) - 0.5) < 0.06


@pytest.mark.parametrize("num_nodes, max_hops", [(6, 3), (10, 4), (16, 8)])
def test_the_two_graphs_of_a_pair_differ_in_reachability_only(num_nodes, max_hops):
    pairs = graph_pairs(np.random.default_rng(0), 300, num_nodes, 1, max_hops)
    for axis in (1, 2):
        assert (pairs.positive.sum(axis) == pairs.negative.sum(axis)).all()
    assert not reaches(pairs.negative, pairs.source, pairs.target).any()
    rows, distance = np.arange(300), np.full(300, -1)
    seen = np.zeros((300, num_nodes), dtype=bool)
    seen[rows, pairs.source] = True
    for hops in range(num_nodes):
        distance[seen[rows, pairs.target] & (distance < 0)] = hops
        seen |= (seen[:, :, None] & pairs.positive).any(1)
    assert (distance == pairs.hops).all()
    for edges in (pairs.positive, pairs.negative):
        assert not edges[:, np.arange(num_nodes), np.arange(num_nodes)].any()


def test_the_shortcut_audit_of_reachability():
    """Degrees and edges: 50 +- 2 % at every hop count. Balls: all at the needed radius, less below it."""
    audited = {(s.feature, s.difficulty): s.accuracy for s in Reachability().audit(40_000)}
    for hops in range(1, 5):
        assert abs(audited["degrees", hops] - 0.5) <= 0.02
        assert abs(audited["edges", hops] - 0.5) <= 0.02
        for radius in range(1, 5):
            accuracy = audited[f"ball of radius {radius}", hops]
            assert accuracy > 0.99 if radius >= hops else accuracy < 0.9
        if hops > 1:
            assert abs(audited["ball of radius 1", hops] - 0.5) <= 0.02


def test_the_audit_finds_a_leak_and_no_more():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 10_000).astype(bool)
    assert bayes_accuracy(label[:, None], label) == 1
    assert abs(bayes_accuracy(rng.integers(0, 3, (10_000, 2)), label) - 0.5) < 0.03


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.txt").write_bytes(data)
    return str(folder)


def test_text_is_split_by_file_and_fingerprinted(tmp_path):
    folder = write(tmp_path / "a", **{f"f{i}": bytes([65 + i]) * 500 for i in range(10)})
    task = Text(path=folder, length=16, held_out=0.2)
    used = [set(task.corpus.text[split]) for split in ("train", "validation", "test")]
    assert not used[0] & used[1] and not used[0] & used[2] and not used[1] & used[2]
    assert sum(len(v) for v in task.corpus.files.values()) == 10
    before = task.fingerprint()
    (tmp_path / "a" / "f3.txt").write_bytes(b"Z" * 500)
    assert Text(path=folder, length=16, held_out=0.2).fingerprint() != before


def test_a_single_file_is_split_by_position(tmp_path):
    write(tmp_path / "a", f=b"x" * 800 + b"y" * 100 + b"z" * 100)
    task = Text(path=str(tmp_path / "a" / "f.txt"), length=16, held_out=0.1)
    assert [set(task.corpus.text[s]) for s in ("train", "validation", "test")] == [set(b"x"), set(b"y"), set(b"z")]


def test_files_that_are_no_text_are_named(tmp_path):
    folder = write(tmp_path / "a", good=b"hello " * 400, bad=b"\xff\xfe\x00", none=b"")
    assert Text(path=folder, length=16).skipped == {"bad.txt": "not UTF-8 at byte 0", "none.txt": "empty"}


@pytest.mark.parametrize(
    "files, said",
    [({}, "none ends in"), ({"a": b""}, "1 skipped (a.txt: empty)"), ({"a": b"short"}, "needs 130 bytes")],
)
def test_text_that_cannot_serve_is_an_error(tmp_path, files, said):
    with pytest.raises(ValueError) as caught:
        Text(path=write(tmp_path / "a", **files))
    assert said in str(caught.value)


def test_targets_are_the_next_bytes():
    batch = Text(length=32).batch("train", range(4))
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])
