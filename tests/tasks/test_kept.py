"""What is drawn once: held-out samples, and those that training begins with, whoever asks for them again."""

import pytest
import torch

from mythos_blocks import Slot, build, load_plugins
from mythos_lab.tasks import generated
from mythos_lab.tasks.kept import Kept

load_plugins()
HELD_OUT = ("validation", "test", "ood")


def task(**fields):
    return build(Slot("task").resolve({"kind": "reachability", "validation_size": 3000, **fields}))


@pytest.fixture
def drawn(monkeypatch):
    monkeypatch.setattr(generated, "_KEPT", Kept())
    seen, make = [], generated.Generated._make_chunk
    monkeypatch.setattr(
        generated.Generated, "_make_chunk", lambda self, *what: (seen.append(what), make(self, *what))[1]
    )
    return seen


def test_trials_on_one_task_draw_what_is_held_out_once(drawn):
    first, second = task(), task()
    for split in HELD_OUT:
        every = [each.batch(split, range(each.size(split))) for each in (first, second, first)]
        assert all(torch.equal(every[0].tokens, other.tokens) for other in every[1:])
    assert sorted(drawn) == sorted((s, c) for s in HELD_OUT for c in range(3 if s == "validation" else 2))
    assert first.fingerprint() == second.fingerprint() and drawn.count(("train", 0)) == 1


def test_another_task_draws_its_own(drawn):
    one, other = (task(seed=seed).batch("validation", range(8)) for seed in (0, 1))
    assert not torch.equal(one.tokens, other.tokens) and len(drawn) == 2


def test_what_is_kept_fits():
    chunk = generated.Generated._make_chunk(task(), "validation", 0)
    kept, made = Kept(most_bytes=2 * chunk.num_bytes()), []
    for key in (1, 2, 1, 3, 1, 2):
        kept.once(key, lambda key=key: (made.append(key), chunk)[1])
    assert made == [1, 2, 3, 2]
    Kept(most_bytes=chunk.num_bytes() - 1).once(1, lambda: chunk)
