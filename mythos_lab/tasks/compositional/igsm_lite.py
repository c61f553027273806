"""Word problems without words: variables defined by one another, in random order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.ragged import Ragged, asked
from mythos_lab.tasks.samples import Samples

ASK, PLUS, MINUS, TIMES = range(1, 5)
_NUMBERS = 5
_STATEMENT = 4  # tokens: name, left, operator, right


@component("task", "igsm_lite")
class IGSMLite(Generated):
    """The value of a variable modulo p that others define, a small form of iGSM (Ye et al., arXiv 2407.20311).

    Every statement defines a variable by two terms: ``name left operator right``. A leaf has two numbers; a further one
    the variable before it in its chain, and a number or a leaf, in either order. The question is about a variable
    that depends on ``steps`` others in a row; a second chain, of which the question does not need anything, makes up
    the same number of statements in every sample. Statements come in random order. Every step adds or takes away a
    number that is uniform, or multiplies with one that is not 0, so answers are uniform. Left out of iGSM: sentences
    of English, hierarchies of categories, and statements with more than two terms.

    Args:
        modulus: p, a prime.
        min_steps: Fewest steps from a leaf to the variable in question, in training.
        max_steps: Most such steps in training.
        num_variables: Variables of a sample; ``null`` takes three more than the longest chain of all has.
        times: Whether some steps multiply.

    Raises:
        ValueError: ``min_steps`` exceeds ``max_steps``, p is not prime, or there are too few variables.
    """

    difficulty_name = "steps"
    difficulty_is_depth = True
    compositional = True

    def __init__(
        self,
        *,
        modulus: Annotated[Count, Field(ge=2, le=97)] = 7,
        min_steps: Count = 1,
        max_steps: Count = 4,
        num_variables: Annotated[Count, Field(ge=4)] | None = None,
        times: bool = True,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        if any(modulus % k == 0 for k in range(2, int(modulus**0.5) + 1)):
            raise ValueError(f"modulus={modulus} must be a prime, for products to keep answers uniform")
        top = max_steps + self.ood_range
        if num_variables is not None and num_variables < top + 3:
            raise ValueError(f"num_variables={num_variables} must be at least max_steps + ood_range + 3 = {top + 3}")
        self.modulus, self.times = modulus, times
        self.num_variables = num_variables or top + 3
        self.spans(min_steps, max_steps, lambda steps: _STATEMENT * self.num_variables + 2)
        self.symbols = (
            "",
            "?",
            "+",
            "-",
            "*",
            *(str(i) for i in range(modulus)),
            *(f"v{i}" for i in range(self.num_variables)),
        )
        self.vocab_size = len(self.symbols)
        self.answers = tuple(range(_NUMBERS, _NUMBERS + modulus))

    @property
    def chance(self) -> float:
        return 1 / self.modulus

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        p, m, rows = self.modulus, self.num_variables, np.arange(num)
        steps = self.levels(rng, num, split)
        names = rng.permuted(np.tile(np.arange(m), (num, 1)), axis=1) + _NUMBERS + p
        # Variable 0 is a leaf that chains may use. 1, 2, ... are the chain in question, up to 1 + steps; what
        # follows is the other chain. Both begin with a leaf.
        value = np.zeros((num, m), dtype=np.int64)
        statements = np.zeros((num, m, _STATEMENT), dtype=np.int64)
        for i in range(m):
            leaf = (i <= 1) | (i == steps + 2)
            operator = rng.integers(0, 2 + self.times, num)
            number = rng.integers(np.where(leaf | (operator < 2), 0, 1), p)
            uses_leaf = ~leaf & (operator < 2) & (rng.random(num) < 0.5)
            # Two leaves of the same chain of which one is its own: v1 + v0 would be known from v0 alone.
            left = np.where(leaf, rng.integers(0, p, num), value[:, max(i - 1, 0)])
            right = np.where(uses_leaf, value[:, 0], number)
            left_token = np.where(leaf, _NUMBERS + left, names[:, max(i - 1, 0)])
            right_token = np.where(uses_leaf, names[:, 0], _NUMBERS + number)
            operator = np.where(leaf & (operator == 2), 0, operator)
            turned = rng.integers(0, 2, num).astype(bool)
            a, b = np.where(turned, right, left), np.where(turned, left, right)
            value[:, i] = np.choose(operator, (a + b, a - b, a * b)) % p
            statements[:, i] = np.stack(
                (
                    names[:, i],
                    np.where(turned, right_token, left_token),
                    PLUS + operator,
                    np.where(turned, left_token, right_token),
                ),
                1,
            )
        order = np.argsort(rng.random((num, m)), axis=1)
        body = statements[rows[:, None], order].reshape(num, -1)
        asked_for = 1 + steps
        prompt = np.concatenate((body, names[rows, asked_for][:, None]), 1)
        answer = value[rows, asked_for] + _NUMBERS
        tokens, targets, _ = asked(Ragged.full(prompt), Ragged.full(answer), ASK, "parallel", self.positions)
        return Samples(tokens, targets, steps)

    def oracle(self, batch: Batch) -> Tensor:
        p, answers = self.modulus, []
        for row in batch.tokens.tolist():
            statements = [row[_STATEMENT * i : _STATEMENT * (i + 1)] for i in range(self.num_variables)]
            define = {name: terms for name, *terms in statements}

            def value(term: int, define: dict[int, list[int]] = define) -> int:
                if term < _NUMBERS + p:
                    return term - _NUMBERS
                left, operator, right = define[term]
                a, b = value(left), value(right)
                return (a + b if operator == PLUS else a - b if operator == MINUS else a * b) % p

            answers.append(value(row[_STATEMENT * self.num_variables]) + _NUMBERS)
        return filled(batch, np.array(answers))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        body = tokens[:, :-2].reshape(len(tokens), -1, _STATEMENT)
        terms = body[:, :, (1, 3)]
        is_number = (terms >= _NUMBERS) & (terms < _NUMBERS + self.modulus)
        total = np.where(is_number, terms - _NUMBERS, 0).sum((1, 2)) % self.modulus
        mine = (body[:, :, 0] == tokens[:, -2][:, None]).argmax(1)
        statement = body[np.arange(len(body)), mine]
        number = np.where((statement >= _NUMBERS) & (statement < _NUMBERS + self.modulus), statement, 0)
        return {
            "sum of all numbers": total[:, None],
            "numbers and operator of the asked statement": np.stack((number[:, 1], statement[:, 2], number[:, 3]), 1),
        }
