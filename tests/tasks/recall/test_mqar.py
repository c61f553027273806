"""MQAR: the published distribution, and its two defects."""

import numpy as np
import pytest
import torch

from mythos_lab.tasks import IGNORE, MQAR
from mythos_lab.tasks.draws import distinct


def collisions(task, num=4096):
    """Share of samples with a filler that is a key, whose value nobody asks for."""
    batch = task.batch("train", range(num))
    keys = batch.tokens[:, 0:8:2]
    again = (batch.tokens[:, 8:, None] == keys[:, None, :]).any(2)
    return float((again & (batch.targets[:, 8:] == IGNORE)).any(1).float().mean())


def test_fillers_are_keys_in_almost_3_percent_as_published_and_never_here():
    assert abs(collisions(MQAR(as_published=True)) - 0.0285) < 0.012
    assert collisions(MQAR()) == 0
    assert collisions(MQAR(vocab_size=24)) == 0


def test_every_token_that_is_no_key_fills_equally_often():
    task = MQAR(vocab_size=20, settings=[{"length": 64, "num_pairs": 4}])
    batch = task.batch("train", range(20_000))
    filler = batch.tokens[:, 9::2]  # queries stand at even places
    counts = torch.bincount(filler.flatten(), minlength=20).float()
    values = counts[10:] / counts[10:].mean()
    assert (values - 1).abs().max() < 0.03 and counts[0] > 0


def test_pairs_come_first_and_every_key_is_asked_once_at_an_even_place():
    task = MQAR(settings=[{"length": 128, "num_pairs": 8}])
    batch = task.batch("train", range(500))
    scored = batch.targets != IGNORE
    assert (scored.sum(1) == 8).all() and not scored[:, :16].any() and not scored[:, 1::2].any()
    for tokens, asked in zip(batch.tokens.tolist(), scored.tolist(), strict=True):
        assert sorted(t for t, a in zip(tokens, asked, strict=True) if a) == sorted(tokens[0:16:2])
        assert len(set(tokens[1:16:2])) == 8 and min(tokens[1:16:2]) >= 4096 > max(tokens[0:16:2])


@pytest.mark.parametrize("power, near", [(0.01, 0.60), (1.0, 0.20)])
def test_gaps_follow_the_power_law(power, near):
    """Share of queries in the first fifth of the room, against the weights' own draw without replacement."""
    task = MQAR(power=power)
    batch = task.batch("train", range(2048))
    gaps = ((batch.targets != IGNORE).nonzero()[:, 1] - 8).numpy() // 2
    weight = np.arange(1, 29) ** (power - 1)
    rng = np.random.default_rng(0)
    wanted = np.concatenate([rng.choice(28, 4, replace=False, p=weight / weight.sum()) for _ in range(4000)])
    for cut in (1, 3, 6, 14):
        assert abs((gaps < cut).mean() - (wanted < cut).mean()) < 0.02
    assert abs((gaps < 6).mean() - near) < 0.05


def test_a_mixture_has_the_declared_shares_and_slices():
    settings = [{"length": 64, "num_pairs": 4, "weight": 5}, {"length": 128, "num_pairs": 8}]
    task = MQAR(settings=settings, ood_settings=[{"length": 256, "num_pairs": 64}])
    batch = task.batch("train", range(4096))
    assert abs((batch.slices["length"] == 64).float().mean() - 5 / 6) < 0.03
    assert (batch.tokens[batch.slices["length"] == 64, 64:] == 0).all()
    assert (task.batch("ood", range(8)).difficulty == 64).all() and task.ood_positions == 256


@pytest.mark.parametrize("count, size", [(3, 1000), (30, 40), (5, 5)])
def test_distinct_draws_are_distinct_and_even(count, size):
    rows = distinct(np.random.default_rng(0), 4000, count, 7, 7 + size)
    assert rows.min() >= 7 and rows.max() < 7 + size
    assert all(len(set(row)) == count for row in rows[:500].tolist())
    first = np.bincount(rows[:, 0] - 7, minlength=size)
    assert abs(first / 4000 - 1 / size).max() < 5 / np.sqrt(4000 * size) + 1e-9


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"settings": [{"length": 12, "num_pairs": 4}]}, "num_pairs=4 need a length of at least 16"),
        ({"settings": [{"length": 63, "num_pairs": 4}]}, "multiple of 2"),
        ({"vocab_size": 8}, "vocab_size=8 gives 3 keys for 4 pairs"),
        ({"settings": [{"length": 64, "num_pair": 4}]}, "did you mean 'num_pairs'"),
    ],
)
def test_mistakes(fields, said):
    with pytest.raises(ValueError, match=said):
        MQAR(**fields)
