"""MAD: the 66 settings, and the definitions that its six tasks are published with."""

from collections import Counter

import numpy as np
import pytest
import torch

from mythos_blocks.declaring.registry import slots
from mythos_lab.tasks import (
    IGNORE,
    Compression,
    FuzzyRecall,
    InContextRecall,
    Memorization,
    NoisyRecall,
    SelectiveCopying,
)
from mythos_lab.tasks.recall.mad import settings


def test_there_are_66_settings_each_in_one_field_from_its_baseline():
    counts = Counter(setting["kind"].removeprefix("mad_") for setting in settings())
    assert counts == {
        "in_context_recall": 11,
        "fuzzy_recall": 11,
        "noisy_recall": 14,
        "selective_copying": 13,
        "compression": 11,
        "memorization": 6,
    }
    assert sum(counts.values()) == 66
    assert len({tuple(sorted(setting.items())) for setting in settings()}) == 66


@pytest.mark.parametrize("number", range(66))
def test_every_setting_builds_and_its_oracle_is_right(number):
    fields = dict(settings()[number])
    task = slots()["task"].kinds[fields.pop("kind")](**fields)
    assert task.train_size == fields["train_size"] and task.size("validation") == 1280
    # Drawn alone: a whole chunk of the longest settings is slow to solve in plain Python.
    batch = task.draw(np.random.default_rng(0), 8, "validation").batch()
    scored = batch.targets != IGNORE
    assert scored.any(1).all()
    assert torch.equal(task.oracle(batch)[scored], batch.targets[scored])


@pytest.mark.parametrize("make", [InContextRecall, NoisyRecall, FuzzyRecall])
def test_recall_trains_on_every_next_token_as_published_and_scores_answers(make):
    task = make()
    train, held = task.batch("train", range(50)), task.batch("validation", range(50))
    assert torch.equal(train.targets[:, :-1], train.tokens[:, 1:])
    asked = held.targets != IGNORE
    assert asked[:, -1].all() or make is FuzzyRecall
    assert (held.targets[:, :-1][asked[:, :-1]] == held.tokens[:, 1:][asked[:, :-1]]).all()
    only = make(train_on="answers").batch("train", range(50))
    assert 0 < (only.targets != IGNORE).float().mean() < 0.6


def test_a_value_is_asked_for_exactly_where_its_key_was_seen_before():
    task = NoisyRecall(noise_share=0.4)
    batch = task.batch("validation", range(200))
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
        seen = set()
        for i in range(0, len(tokens), 2):
            last = i == len(tokens) - 1
            assert (targets[i] != IGNORE) == (tokens[i] in seen or last)
            if tokens[i] < 8:
                seen.add(tokens[i])
            assert i == len(tokens) - 1 or targets[i + 1] == IGNORE
        assert tokens[-1] in seen | {tokens[-1]}


def test_noise_has_its_share():
    tokens = NoisyRecall(noise_share=0.4).batch("train", range(2048)).tokens
    assert abs((tokens[:, ::2] >= 16).float().mean() - 0.4 * 62 / 64) < 0.01


def test_fuzzy_keys_are_of_the_largest_size_outside_training():
    task = FuzzyRecall()

    def sizes(split):
        found = Counter()
        for row in task.batch(split, range(100)).tokens.tolist():
            run = 0
            for token in row:
                if token < task.num_keys:
                    run += 1
                elif run:
                    found[run] += 1
                    run = 0
        return found

    assert set(sizes("validation")) == {3} and set(sizes("train")) == {1, 2, 3}


def test_selective_copying_keeps_the_order_and_blanks_come_before_tokens():
    task = SelectiveCopying()
    batch = task.batch("train", range(200))
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
        mark = tokens.index(task.mark)
        assert mark == 256 - 17 and tokens[mark - 1] != task.blank
        assert [t for t in tokens[:mark] if t != task.blank] == [t for t in targets if t != IGNORE]


def test_compression_goes_through_one_token():
    """From any place's token, what can be reached by attention at any depth are the gathering token and its sources."""
    task = Compression()
    allowed = task.batch("train", range(1)).allowed[0]
    n = task.num_places
    assert allowed[n + 1 :].sum(1).eq(2).all() and allowed[n + 1 :, n].all()
    assert not allowed[: n + 1, n + 1 :].any()


def test_memorisation_asks_for_one_map_in_all_splits():
    task = Memorization()
    pairs = {}
    for split in ("train", "validation", "test"):
        batch = task.batch(split, range(200))
        for key, value in zip(
            batch.tokens[:, ::2].flatten().tolist(), batch.targets[:, 1::2].flatten().tolist(), strict=True
        ):
            assert pairs.setdefault(key, value) == value
    assert len(pairs) == len(set(pairs.values())) == 127
    assert make_other_seed().value_of.tolist() != task.value_of.tolist()


def make_other_seed():
    return Memorization(seed=1)
