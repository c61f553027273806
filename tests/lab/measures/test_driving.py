"""Words that share what they begin with come to the bits of passes of their own, whatever halts or exits."""

import pytest
import torch

import mythos_blocks as mb
from mythos_lab.measures import Samples, Subject
from mythos_lab.measures.driving import Driver
from mythos_lab.tasks import IGNORE
from tests.blocks import random_cores
from tests.lab.measures.test_passes import models

WORDS = [(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 2, 2), (0, 2), (1,), (1, 0, 3, 2), (0, 1, 2)]


def subject_of(model):
    tokens = random_cores.tokens(0)
    targets = tokens.masked_fill(torch.tensor([[True, False, False, True, False, False]]), IGNORE)
    return Subject(model, Samples.of_tokens(tokens, targets))


def draws(model):
    """Whether an iteration of a pass draws: its own pass then goes on with the stream that the first state began."""
    return model.core.halting.kind == "ponder" and model.core.halting.inference == "sample"


def test_words_and_loop_counts_that_share_beginnings_answer_as_passes_of_their_own():
    differ, shared, rules = [], 0, set()
    for seed, model in models(range(0, 120, 4)):
        if draws(model) or (model.core.last_index or 3) < 3:
            continue
        subject = subject_of(model)
        (batch,) = subject.samples.batches
        driver, counts = Driver(subject, batch), {}
        for word in WORDS:
            with torch.no_grad():
                alone = subject.run(batch, word, logits_at=batch.targets != IGNORE).logits
            if not torch.equal(driver.logits(word), alone):
                differ.append((seed, word))
            if word == tuple(range(len(word))):
                counts[len(word)] = subject.predicted(alone)
        found = subject.at_counts(list(counts))
        differ += [(seed, n) for n, answers in counts.items() if not torch.equal(found[n].answers, answers)]
        shared += driver.num_iterations < sum(map(len, WORDS))
        rules |= {model.core.halting.kind, model.core.exit.kind}
        assert subject.at_counts([2])[2] is found[2], "computed once"
    assert not differ and shared > 10 and len(rules) > 4


@pytest.mark.parametrize("halting", ["none", {"kind": "ponder", "inference": "sample"}], ids=["a start", "and stops"])
def test_what_is_drawn_belongs_to_its_place_in_the_word(halting):
    model = mb.LoopedTransformer(
        random_cores.VOCAB,
        width=16,
        core={"halting": halting, "initial_state": {"kind": "normal", "at_evaluation": "fresh"}},
    ).eval()
    subject = subject_of(model)
    (batch,) = subject.samples.batches
    driver = Driver(subject, batch)
    first = driver.logits((0, 1, 2, 3))
    after = driver.logits((0, 1))
    assert torch.equal(after, Driver(subject, batch).logits((0, 1)))
    assert torch.equal(first, Driver(subject, batch).logits((0, 1, 2, 3)))
    assert not torch.equal(first, Driver(subject, batch, noise=1).logits((0, 1, 2, 3)))
