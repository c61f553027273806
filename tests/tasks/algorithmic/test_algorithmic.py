"""What the algorithmic tasks promise beyond the contract."""

import itertools

import numpy as np
import pytest
import torch

from mythos_lab.tasks import (
    IGNORE,
    Addition,
    CompositeArithmetic,
    Copy,
    Dyck,
    ListOpsLite,
    Maze,
    Multiplication,
    Parity,
    Sudoku,
    WordProblem,
)
from mythos_lab.tasks.algorithmic.groups import generators, table
from mythos_lab.tasks.algorithmic.sudoku import grids, solutions


@pytest.mark.parametrize("name, order", [("Z60", 60), ("S3", 6), ("S5", 120), ("A4", 12), ("A5", 60)])
def test_groups_are_groups(name, order):
    product = table(name)
    assert product.shape == (order, order)
    assert (product[0] == np.arange(order)).all() and (product[:, 0] == np.arange(order)).all()
    for line in (product, product.T):
        assert all(len(set(row)) == order for row in line)
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, order, (3, 200))
    assert (product[product[a, b], c] == product[a, product[b, c]]).all()
    assert (name[0] == "Z") == bool((product == product.T).all())
    assert len(generators(name)) == (1 if name[0] == "Z" else 2)


def test_s5_composes_in_the_order_of_the_word():
    """First a, then b: point i goes to b[a[i]]."""
    elements = list(itertools.permutations(range(5)))
    product = table("S5")
    for a, b in ((7, 50), (100, 3)):
        assert elements[product[a, b]] == tuple(elements[b][elements[a][i]] for i in range(5))


def test_words_out_of_distribution_are_scored_beyond_the_trained_length():
    task = WordProblem(length=6, ood_range=3)
    batch = task.batch("ood", range(4))
    assert ((batch.targets != IGNORE) == (batch.difficulty > 6)).all()


@pytest.mark.parametrize("least_first", [True, False])
@pytest.mark.parametrize("layout", ["parallel", "autoregressive"])
def test_both_layouts_ask_for_the_same_digits(least_first, layout):
    task = Addition(least_first=least_first, layout=layout)
    batch = task.batch("train", range(300))
    for tokens, targets, digits in zip(
        batch.tokens.tolist(), batch.targets.tolist(), batch.difficulty.tolist(), strict=True
    ):
        step = 1 if least_first else -1
        a, b = (
            int("".join(str(t - 3) for t in part[::-step]))
            for part in (tokens[:digits], tokens[digits + 1 : 2 * digits + 1])
        )
        places = range(2 * digits + 1, 3 * digits + 2)
        answer = [targets[i] - 3 for i in places]
        assert int("".join(map(str, answer[::-step]))) == a + b
        shown = [tokens[i] for i in places]
        assert shown == ([1] * len(answer) if layout == "parallel" else [1, *(d + 3 for d in answer[:-1])])
    assert task.causal == (layout == "autoregressive")


def test_the_slice_of_an_addition_is_its_longest_run_of_carries():
    task = Addition(min_digits=6)
    batch = task.batch("train", range(300))
    for tokens, run in zip(batch.tokens.tolist(), batch.slices["carries"].tolist(), strict=True):
        carry, now, longest = 0, 0, 0
        for a, b in zip(tokens[:6], tokens[7:13], strict=True):
            carry = int(a - 3 + b - 3 + carry > 9)
            now = (now + 1) * carry
            longest = max(longest, now)
        assert run == longest


def test_every_answer_of_a_long_product_is_a_digit_of_it():
    task = Multiplication(max_digits=8, min_digits=8)
    batch = task.batch("train", range(50))
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
        a, b = (sum((t - 3) * 10**i for i, t in enumerate(part)) for part in (tokens[:8], tokens[9:17]))
        assert sum((t - 3) * 10**i for i, t in enumerate(t for t in targets if t != IGNORE)) == a * b


def test_dyck_prefixes_close_what_they_open_and_the_last_one_closes():
    task = Dyck(num_types=3)
    for row, pending in zip(
        *[t.tolist() for t in (task.batch("train", range(300)).tokens, task.batch("train", range(300)).difficulty)],
        strict=True,
    ):
        stack = []
        word = row[: row.index(1)]
        for token in word:
            if token < 5:
                stack.append(token)
            else:
                assert stack.pop() == token - 3
        assert sorted(stack) == sorted([2, 3, 4] * pending) and word[-1] >= 5


def test_listops_by_hand():
    from mythos_lab.tasks.algorithmic.listops import CLOSE, MAX, MED, MIN, SUM, _evaluate

    digit = 7
    assert _evaluate([MED, digit + 5, digit + 2, digit + 7, digit + 4, CLOSE]) == 4
    assert _evaluate([SUM, digit + 9, MAX, digit + 3, digit + 4, CLOSE, digit + 9, CLOSE]) == 2
    assert _evaluate([MIN, digit + 9, MAX, digit + 3, digit + 4, CLOSE, CLOSE]) == 4
    batch = ListOpsLite().batch("train", range(500))
    opened = ((batch.tokens >= MAX) & (batch.tokens <= SUM)).sum(1)
    assert torch.equal(opened, (batch.tokens == CLOSE).sum(1))


def test_sudokus_have_one_solution_and_held_out_grids_are_never_trained_on():
    assert len(grids()) == 288 and len({tuple(g) for g in grids()}) == 288
    task = Sudoku()
    seen = {}
    for split in ("train", "validation", "test"):
        batch = task.batch(split, range(1024))
        shown = torch.where(batch.tokens == 5, 0, batch.tokens).numpy()
        assert (solutions(shown).sum(1) == 1).all()
        assert torch.equal((batch.tokens == 5).sum(1), batch.difficulty)
        whole = torch.where(batch.targets == IGNORE, batch.tokens, batch.targets)
        seen[split] = {tuple(g) for g in whole.tolist()}
    assert not seen["train"] & (seen["validation"] | seen["test"])


def test_mazes_are_trees_and_ask_for_as_many_squares_off_the_way_as_on_it():
    task = Maze()
    batch = task.batch("train", range(200))
    for tokens, targets, steps in zip(
        batch.tokens.numpy(), batch.targets.numpy(), batch.difficulty.tolist(), strict=True
    ):
        open_ = (tokens != 0).reshape(9, 9)
        links = int((open_[:, 1:] & open_[:, :-1]).sum() + (open_[1:] & open_[:-1]).sum())
        assert links == open_.sum() - 1 == 48, "25 cells and 24 passages, without a circle"
        assert (targets == 5).sum() == (targets == 4).sum() == 2 * steps - 1


def test_composites_are_even_in_both_results_and_controls_occur_nowhere():
    task = CompositeArithmetic(distinct=True)
    batch = task.batch("train", range(4096))
    first, final = batch.records["intermediate"] - 7, batch.records["final"] - 7
    joint = torch.zeros(10, 10).index_put_((first, final), torch.ones(4096), accumulate=True)
    # Expressions are few, so some pairs of results are rarer once the other splits have theirs.
    for results in (first, final):
        assert torch.bincount(results, minlength=10).min() > 0.4 * 409.6
    assert (joint > 0).sum() >= 60
    everything = torch.cat(
        (batch.records["operands"], batch.records["intermediate"][:, None], batch.records["final"][:, None]), 1
    )
    assert (everything != batch.records["control"][:, None]).all()
    assert (batch.records["intermediate"][:, None] != batch.records["operands"]).all()
    for digit in range(10):
        assert (batch.records["control"] == 7 + digit).any()


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Parity(max_length=4), "max_length=4 make 16 problems at most; splits that share none need 64"),
        (lambda: Copy(min_length=13), "min_length=13 exceeds max_length=12"),
        (lambda: Sudoku(max_blanks=12), "max_blanks=12 and ood_range=2 must come to at most 12"),
        (lambda: Maze(max_steps=10), "must come to at most 2 size = 10"),
        (lambda: Multiplication(max_digits=9), "must come to at most 9"),
        (lambda: Addition(layout="sideways"), "parallel"),
    ],
)
def test_mistakes(make, said):
    with pytest.raises(ValueError, match=said):
        make()
