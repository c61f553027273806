"""p-hop, kinship, relational composition and iGSM-lite: what each of them fixes by construction."""

import numpy as np
import pytest
import torch

from mythos_lab.tasks import IGNORE, IGSMLite, Kinship, PHop, RelationalComposition
from mythos_lab.tasks.compositional.kinship import CHILD, PARENT


def test_p_hop_by_hand():
    """a b c a d: from the last a one hop leads to the b after the first a, and so on."""
    task = PHop(alphabet=4, length=32, max_hops=4)
    batch = task.batch("train", range(1))
    tokens = torch.zeros_like(batch.tokens)
    tokens[0, : 1 + 9] = torch.tensor([4 + 2, 1, 2, 3, 4, 2, 4, 3, 1, 2])
    #                       position       0  1  2  3  4  5  6  7  8
    # From 8 (token 2): the nearest earlier 2 is at 4, so one hop leads to 5 (token 4); the 4 before it is at 3, so two
    # lead to 4 (token 2).
    said = task.oracle(type(batch)(tokens, batch.targets))
    assert said[0, 1 + 8] == 2


def test_p_hop_neighbours_differ_and_every_last_position_is_asked():
    batch = PHop().batch("train", range(500))
    sequence = batch.tokens[:, 1:]
    for back in (1, 2):
        assert (sequence[:, back:] != sequence[:, :-back]).all()
    assert (batch.targets[:, -1] != IGNORE).all()
    assert (batch.targets[:, : 72 // 2] == IGNORE).all()


def test_kinship_has_the_same_number_of_every_relation_in_all_samples():
    batch = Kinship().batch("train", range(1000))
    for relation in (PARENT, CHILD):
        assert torch.equal((batch.tokens == relation).sum(1), batch.difficulty)


def test_true_and_false_questions_of_kinship_have_the_same_offsets():
    task = Kinship(min_hops=3, max_hops=3)
    batch = task.batch("train", range(8192))
    _, question = task.read(batch)
    yes = (batch.targets == 1).any(1).numpy()
    counts = [np.bincount(question[rows, 1], minlength=task.vocab_size) / rows.sum() for rows in (yes, ~yes)]
    assert np.abs(counts[0] - counts[1]).max() < 0.03 and (counts[0] > 0).sum() == 4


def test_relations_are_permutations_and_questions_use_different_ones():
    task = RelationalComposition()
    for row in task.batch("train", range(200)).tokens.tolist():
        facts = np.array(row[: 3 * task.num_facts]).reshape(-1, 3)
        for relation in np.unique(facts[:, 1]):
            of_it = facts[facts[:, 1] == relation]
            assert len(np.unique(of_it[:, 0])) == len(np.unique(of_it[:, 2])) == task.num_entities
        asked = row[3 * task.num_facts + 1 : row.index(1)]
        assert len(set(asked)) == len(asked)


def test_igsm_answers_are_even_and_need_the_declared_steps():
    task = IGSMLite(max_steps=3, ood_range=1)
    batch = task.batch("train", range(4096))
    answers = batch.targets[batch.targets != IGNORE]
    counts = torch.bincount(answers - 5, minlength=7) / len(answers)
    assert (counts - 1 / 7).abs().max() < 0.03
    for row, steps in zip(batch.tokens.tolist()[:300], batch.difficulty.tolist(), strict=False):
        define = {row[i]: (row[i + 1], row[i + 3]) for i in range(0, 4 * task.num_variables, 4)}

        def depth(term, define=define):
            return 1 + max(depth(part) for part in define[term]) if term in define else -1

        assert depth(row[4 * task.num_variables]) in (steps, steps + 0)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: PHop(length=16), "length=16 must be at least alphabet x"),
        (lambda: Kinship(num_names=3), "num_names=3 must be at least 16"),
        (lambda: RelationalComposition(num_relations=2), "num_relations=2 must be at least"),
        (lambda: IGSMLite(modulus=9), "modulus=9 must be a prime"),
        (lambda: IGSMLite(num_variables=4), "num_variables=4 must be at least"),
    ],
)
def test_mistakes(make, said):
    with pytest.raises(ValueError, match=said):
        make()
