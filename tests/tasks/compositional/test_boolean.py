"""Boolean expressions: the published grammar, and what balance takes away."""

import numpy as np
import pytest
import torch

from mythos_lab.tasks import IGNORE, Boolean
from mythos_lab.tasks.compositional.boolean import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE, evaluate

WORD = {TRUE: "True", FALSE: "False", NOT: " not ", AND: " and ", OR: " or ", OPEN: "(", CLOSE: ")"}


def text_of(task, split="train", num=600):
    batch = task.batch(split, range(num))
    for tokens, targets, depth in zip(batch.tokens.tolist(), batch.targets, batch.difficulty.tolist(), strict=True):
        yield [t for t in tokens if t in WORD], int(targets[targets != IGNORE]), depth


def nesting(tokens):
    level = np.cumsum([(t == OPEN) - (t == CLOSE) for t in tokens])
    return int(level.max()), int(level[-1])


@pytest.mark.parametrize("balanced", [True, False])
def test_python_agrees_on_every_value(balanced):
    """Python's own "not", "and" and "or" bind as !, & and | do."""
    for tokens, answer, _ in text_of(Boolean(balanced=balanced)):
        assert eval("".join(WORD[t] for t in tokens)) == (answer == TRUE) == evaluate(tokens)


def test_depth_is_that_of_the_parentheses_and_length_is_bounded():
    task = Boolean(max_depth=5, max_length=40)
    for tokens, _, depth in text_of(task):
        assert nesting(tokens) == (depth, 0) and len(tokens) <= 40
    for tokens, _, depth in text_of(task, "ood"):
        assert nesting(tokens) == (depth, 0) and depth in (6, 7) and len(tokens) <= task.longest(depth)


def test_the_published_shares_of_atoms_and_negations():
    """Of depth 1 without the limit on length: two atoms, of which .5 are literals, .25 negated, .25 pairs."""
    rng = np.random.default_rng(0)
    task = Boolean(min_depth=1, max_depth=1, balanced=False, max_length=48)
    tokens = task.draw(rng, 20_000, "train").tokens
    negated = (tokens[:, 0] == NOT).mean()
    assert abs(negated - 0.25) < 0.01
    literals = ((tokens == TRUE) | (tokens == FALSE)).sum(1)
    # Two atoms have 2 to 4 literals; each is a pair with probability .25.
    for count, share in ((2, 0.5625), (3, 0.375), (4, 0.0625)):
        assert abs((literals == count).mean() - share) < 0.012


def test_as_published_the_outermost_operator_answers_three_of_four_at_every_depth():
    audit = Boolean(max_depth=8, max_length=96, balanced=False).audit(8192)
    shares = [s.accuracy for s in audit if s.feature == "outermost operator and negation"]
    assert len(shares) == 10 and all(0.70 <= share <= 0.79 for share in shares)


def test_balance_leaves_nothing_of_it():
    for shortcut in Boolean().audit(16_000):
        if "operator" in shortcut.feature:
            assert shortcut.accuracy <= 0.53, shortcut


def test_labels_are_even_at_every_depth():
    batch = Boolean().batch("train", range(8192))
    label = (batch.targets == TRUE).any(1)
    # Of depth 1 there are some hundred expressions: which of them are training's shifts its labels a little.
    for depth, error in ((1, 0.08), (2, 0.04), (3, 0.04), (4, 0.04)):
        assert abs(label[batch.difficulty == depth].float().mean() - 0.5) < error
    assert torch.equal(batch.difficulty.unique(), torch.arange(1, 5))


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"min_depth": 5}, "min_depth=5 exceeds max_depth=4"),
        ({"max_length": 16}, "max_length=16 must be at least 4 max_depth"),
    ],
)
def test_mistakes(fields, said):
    with pytest.raises(ValueError, match=said):
        Boolean(**fields)
