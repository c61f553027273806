"""What every registered task promises beyond its own subject; new tasks are held to it without a line here."""

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from mythos_blocks import load_plugins
from mythos_blocks.declaring.registry import slots
from mythos_lab.tasks import IGNORE, Generated
from mythos_lab.tasks.audit import bayes_accuracy
from mythos_lab.tasks.randomness import CHUNK
from mythos_lab.tasks.samples import row_hash
from mythos_lab.testing import Case, contracts

load_plugins()
KINDS = sorted(slots()["task"].kinds)
GENERATED = [kind for kind in KINDS if issubclass(slots()["task"].kinds[kind], Generated)]
SPLITS = ("train", "validation", "test")

# Another valid value for each field that decides the data, so that fingerprints can be held against it.
SIZES = {"validation_size": 7, "test_size": 7, "seed": 1}
OTHER = {
    "reachability": {"num_nodes": 11, "min_hops": 2, "max_hops": 3, "ood_range": 1},
    "boolean": {"max_depth": 3, "max_length": 40, "balanced": False},
    "p_hop": {"length": 80, "alphabet": 11, "repeats": True},
    "addition": {"least_first": False, "layout": "autoregressive"},
    "word_problem": {"group": "A5", "letters": "generators", "length": 9, "score": "last"},
    "mqar": {"vocab_size": 8190, "as_published": True, "fill": False, "power": 1.0},
    "mad_in_context_recall": {"train_on": "answers", "vocab_size": 32, "train_size": 100},
    "text": {"length": 64, "held_out": 0.1, "max_bytes": 4096, "packing": "packed"},
}


def make(kind, **fields):
    return slots()["task"].kinds[kind](**fields)


@pytest.fixture(scope="module")
def tasks():
    made = {}

    def get(kind):
        return made.setdefault(kind, make(kind))

    return get


def splits(task):
    return (*SPLITS, *(["ood"] if task.size("ood") else []))


def tensors(batch):
    named = [batch.tokens, batch.targets, batch.allowed, batch.difficulty, batch.real]
    return [t for t in (*named, *batch.slices.values(), *batch.records.values()) if t is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_fields_give_equal_fingerprints_and_every_other_field_another(kind):
    plain = make(kind).fingerprint()
    assert make(kind).fingerprint() == plain
    others = {**SIZES, **OTHER.get(kind, {})}
    changed = {name: make(kind, **{name: value}).fingerprint() for name, value in others.items()}
    assert len({plain, *changed.values()}) == len(changed) + 1, changed


@pytest.mark.parametrize("contract", contracts("task"), ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_contracts_of_its_slot(kind, contract):
    contract(Case("task", kind))


def digest(batch):
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors(batch))).hexdigest()


def test_another_process_makes_the_same_bytes(tasks):
    """In one process for all kinds, asked in another order: what one task draws does not depend on the others."""
    code = (
        "from tests.tasks.test_contract import GENERATED, digest, make\n"
        "for kind in reversed(GENERATED): print(kind, digest(make(kind).batch('train', range(1000, 1100))))"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    said = dict(line.split() for line in lines if line)
    assert said == {kind: digest(tasks(kind).batch("train", range(1000, 1100))) for kind in GENERATED}


@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_together_see_what_one_sees(kind, tasks):
    task = tasks(kind)
    one = tensors(task.batch("train", range(12)))
    halves = [make(kind).batch("train", range(0, 6)), make(kind).batch("train", range(6, 12))]
    for whole, first, second in zip(one, *map(tensors, halves), strict=True):
        assert torch.equal(whole, torch.cat((first, second)))


# Fields with which samples differ in length, or no longer do.
LENGTHS = {
    "mqar": {"settings": [{"length": 64, "num_pairs": 4}, {"length": 32, "num_pairs": 8}]},
    "parity": {"min_length": 16},
    "boolean": {"min_depth": 2, "max_depth": 2},
    "word_problem": {"score": "last"},
}


def lengths(task, batch):
    """How long each sample is, by what its own tokens and records say of it."""
    width = batch.tokens.shape[1]
    for named in ("nodes", "length"):
        if named in batch.slices:
            return batch.slices[named]
    if task.symbols[:1] == ("",) if isinstance(task, Generated) else False:  # a token that shows nothing fills rows up
        shown = (batch.tokens != 0).long()
        return width - shown.flip(1).argmax(1)
    return torch.full((len(batch.tokens),), width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [False, True])
def test_what_is_real_ends_where_a_sample_does(kind, changed):
    task = make(kind, **LENGTHS[kind]) if changed and kind in LENGTHS else make(kind)
    for split in splits(task):
        batch = task.batch(split, range(64))
        width = batch.tokens.shape[1]
        inside = torch.arange(width) < lengths(task, batch)[:, None]
        assert (batch.real is not None) == (task.ood_pads if split == "ood" else task.pads), split
        real = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.real is None else batch.real
        assert torch.equal(real, inside), split
        assert real[batch.targets != IGNORE].all(), "what is scored is real"
        if batch.allowed is not None:
            reads = batch.allowed & ~torch.eye(width, dtype=torch.bool)
            assert not (reads & ~real[:, None, :]).any(), "padding is not read"


def test_samples_of_one_length_are_not_padded():
    one, several = make("parity", min_length=16, ood_range=1), make("parity", min_length=16, ood_range=2)
    assert not (one.pads or one.ood_pads or several.pads) and several.ood_pads
    assert not make("mqar").pads and make("mqar", **LENGTHS["mqar"]).pads


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["validation", "test", "ood"])
def test_splits_that_are_evaluated_end_at_their_size(kind, split):
    if split == "ood" and not make(kind).size("ood"):
        assert make(kind).ood_positions is None
        return
    task = make(kind, **{f"{split}_size": 5})
    assert task.size(split) == 5 and len(task.batch(split, range(5)).tokens) == 5
    with pytest.raises(IndexError, match=f"5 of 5 in {split}"):
        task.batch(split, range(3, 6))


@pytest.mark.parametrize("kind", GENERATED)
def test_no_two_splits_share_a_problem(kind, tasks):
    task = tasks(kind)
    seen, shown = {}, {}
    for split in splits(task):
        num = 6 * CHUNK if split == "train" else task.size(split)
        parts = [task._chunk(split, chunk) for chunk in range(-(-num // CHUNK))]
        # Two sudokus of one grid, with other cells blank, are one problem: test and ood share such, and no sample.
        seen[split] = {int(h) for part in parts for h in part.identities()}
        shown[split] = {int(h) for part in parts for h in row_hash(part.tokens) ^ _mask_hash(part)}
    for one, other in itertools.combinations(seen, 2):
        assert not shown[one] & shown[other], (one, other)
        assert {one, other} == {"test", "ood"} or not seen[one] & seen[other], (one, other)


def _mask_hash(samples):
    if samples.allowed is None or samples.tokens.shape[1] > 20:
        return np.uint64(0)
    return row_hash(samples.allowed.reshape(len(samples.tokens), -1))


def measured(task):
    """Whether chance has no closed form, and is that of the likeliest answer at each place."""
    return getattr(type(task), "chance", None) is Generated.chance or (task.kind == "boolean" and not task.balanced)


@pytest.mark.parametrize("kind", GENERATED)
def test_the_oracle_is_always_right_and_at_chance_when_labels_are_shuffled(kind, tasks):
    task = tasks(kind)
    for split in splits(task)[1:]:
        batch = task.batch(split, range(min(1000, task.size(split))))
        scored = (batch.targets != IGNORE).numpy()
        said, right = task.oracle(batch).numpy()[scored], batch.targets.numpy()[scored]
        assert (said == right).all(), split
        if split == "validation":
            # What is left is what the places tell where chance is measured by places, and nothing elsewhere.
            rank = np.cumsum(scored, 1)[scored] * measured(task)
            shuffled, rng = right.copy(), np.random.default_rng(0)
            for place in np.unique(rank):
                shuffled[rank == place] = rng.permutation(right[rank == place])
            error = 5 * np.sqrt(task.chance * (1 - task.chance) / len(right)) + 0.01
            assert (said == shuffled).mean() <= task.chance + error


@pytest.mark.parametrize("kind", GENERATED)
def test_chance_is_what_the_likeliest_answer_gives(kind, tasks):
    task = tasks(kind)
    batch = task.batch("test", range(task.size("test")))
    scored = (batch.targets != IGNORE).numpy()
    label = batch.targets.numpy()[scored]
    rank = np.cumsum(scored, 1)[scored]
    number = np.broadcast_to(scored.sum(1, keepdims=True), scored.shape)[scored]
    guessed = bayes_accuracy(np.stack((rank, number), 1) * measured(task), label)
    error = 5 * np.sqrt(task.chance * (1 - task.chance) / (len(label) // 2)) + 0.005
    assert abs(guessed - task.chance) <= error, (guessed, task.chance)


@pytest.mark.parametrize("kind", GENERATED)
def test_no_shortcut_leads_further_than_the_task_states(kind, tasks):
    task = tasks(kind)
    audit = task.audit(8192)
    assert audit or kind == "mad_compression", "a task without a declared feature has nothing audited"
    for shortcut in audit:
        assert 0 <= shortcut.low <= shortcut.accuracy <= 1
        # A wide net of features on finite samples: what is not beyond doubt is noise.
        if not shortcut.partial:
            assert shortcut.surely_explained <= task.max_shortcut, shortcut
    if task.compositional and "as_published" not in kind:
        assert task.max_shortcut <= 0.1


@pytest.mark.parametrize("kind", [k for k in GENERATED if k.endswith("as_published")])
def test_what_is_labelled_leaky_leaks(kind, tasks):
    worst = max(s.surely_explained for s in tasks(kind).audit(8192) if not s.partial)
    assert worst > 0.5


@pytest.mark.parametrize("kind", GENERATED)
def test_a_finite_training_set_is_visited_once_an_epoch_in_new_orders(kind):
    task = make(kind, train_size=50)
    epochs = [row_hash(task.batch("train", range(k * 50, (k + 1) * 50)).tokens.numpy()) for k in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_can_be_read(kind, tasks):
    task = tasks(kind)
    text = task.render(task.batch("validation", range(3)), 2)
    assert text and "\n\n" not in text
