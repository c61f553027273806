"""How many generations apart are two people, by way of a chain of relatives?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import Array, Batch, Split
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.ragged import Ragged, asked, join
from mythos_lab.tasks.samples import Samples

YES, NO, ASK, PARENT, CHILD, SIBLING = range(1, 7)
_NAMES = 7  # the first token that is a name; relations by offset come after the names

OFFSET = {PARENT: 1, CHILD: -1}


class KinshipTask(Generated):
    """What both kinship tasks share."""

    symbols: tuple[str, ...] = ("", "yes", "no", "?", "parent", "child", "sibling")
    difficulty_name = "hops"
    difficulty_is_depth = True
    chance = 0.5
    answers = (YES, NO)
    compositional = True

    def _named(self, num_names: int) -> None:
        self.num_names = num_names
        relations = tuple(f"{offset:+d}" for offset in range(-self.top, self.top + 1))
        self.symbols = (*KinshipTask.symbols, *(f"n{i}" for i in range(num_names)), *relations)
        self.vocab_size = len(self.symbols)

    def relation(self, offset: Array) -> Array:
        """The token of a number of generations."""
        return _NAMES + self.num_names + self.top + offset

    def shown(self, facts: Array, question: Array, label: Array, hops: Array, split: Split) -> Samples:
        """Samples of facts ``(samples, facts, 3)`` and a question ``(samples, 3)``: who, relation, whom."""
        prompt = join(Ragged(facts.reshape(len(facts), -1), 3 * self._num_facts(facts)), Ragged.full(question))
        answer = Ragged.full(np.where(label, YES, NO))
        tokens, targets, real = asked(prompt, answer, ASK, "parallel", self.width(split))
        return Samples(tokens, targets, hops, real=real)

    def _num_facts(self, facts: Array) -> Array:
        return (facts[:, :, 0] != 0).sum(1)

    def read(self, batch: Batch) -> tuple[Array, Array]:
        """Facts, empty ones as zeros, and the question."""
        tokens = batch.tokens.numpy()
        end = (tokens == ASK).argmax(1)
        rows = np.arange(len(tokens))
        question = np.stack([tokens[rows, end - k] for k in (3, 2, 1)], 1)
        inside = np.arange(tokens.shape[1]) < (end - 3)[:, None]
        body = np.where(inside, tokens, 0)[:, : tokens.shape[1] // 3 * 3]
        return body.reshape(len(tokens), -1, 3), question

    def oracle(self, batch: Batch) -> Tensor:
        facts, question = self.read(batch)
        right = []
        for rows, (who, relation, whom) in zip(facts.tolist(), question.tolist(), strict=True):
            step = {a: (b, OFFSET[r]) for a, r, b in rows if r in OFFSET}
            offset = 0
            while who != whom and who in step:
                who, by = step[who]
                offset += by
            right.append(YES if who == whom and int(self.relation(np.array(offset))) == relation else NO)
        return filled(batch, np.array(right))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        facts, question = self.read(batch)
        counts = np.stack([(facts[:, :, 1] == r).sum(1) for r in (PARENT, CHILD, SIBLING)], 1)
        return {
            "question": question[:, 1:2],
            "counts of relations": counts,
            "counts of relations and question": np.concatenate((counts, question[:, 1:2]), 1),
        }

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """The first and the last relation of the chain, which one look at the names brings."""
        facts, question = self.read(batch)
        first = np.where(facts[:, :, 0] == question[:, :1], facts[:, :, 1], 0).max(1)
        last = np.where(facts[:, :, 2] == question[:, 2:], facts[:, :, 1], 0).max(1)
        return {"both ends of the chain and question": np.stack((first, last, question[:, 1]), 1)}


@component("task", "kinship")
class Kinship(KinshipTask):
    """Is a so many generations above b? Facts ``a parent b``, ``a child b`` in random order hold a chain from a to b.

    In the published form of the task (arXiv 2603.21676), counting words explains all of the published result. Here a
    second chain with every relation turned round makes the counts equal in all samples; parents and children come
    in any order; and the questions of true and of false answers have the same offsets, equally often. So only
    following the names tells.

    Args:
        min_hops: Fewest facts from a to b in training.
        max_hops: Most facts from a to b in training.
        num_names: Names that people may have; ``null`` takes twice as many as the longest chains need.

    Raises:
        ValueError: ``min_hops`` exceeds ``max_hops``, or there are too few names for two chains.
    """

    def __init__(
        self,
        *,
        min_hops: Annotated[Count, Field(ge=2)] = 2,
        max_hops: Count = 5,
        num_names: Count | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.spans(min_hops, max_hops, lambda hops: 6 * hops + 4)
        needed = 2 * (self.top + 1)
        if num_names is not None and num_names < needed:
            raise ValueError(f"num_names={num_names} must be at least {needed}, for two chains of {self.top} facts")
        self._named(num_names or needed)

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        hops = self.levels(rng, num, split)
        most = int(hops.max(initial=1))
        people = rng.permuted(np.tile(np.arange(self.num_names), (num, 1)), axis=1)[:, : 2 * (most + 1)] + _NAMES
        offset = 2 * rng.integers(0, hops + 1) - hops
        # A random order of (hops + offset) / 2 parents and the rest children.
        order = np.argsort(np.where(np.arange(most) < hops[:, None], rng.random((num, most)), 2.0), axis=1)
        parents = np.argsort(order, axis=1) < ((hops + offset) // 2)[:, None]
        facts = []
        for chain, turned in ((people[:, : most + 1], False), (people[:, most + 1 :], True)):
            relation = np.where(parents ^ turned, PARENT, CHILD)
            fact = np.stack((chain[:, :-1], relation, chain[:, 1:]), 2)
            facts.append(np.where((np.arange(most) < hops[:, None])[:, :, None], fact, 0))
        shuffled = _shuffled(rng, np.concatenate(facts, 1))
        label = rng.integers(0, 2, num).astype(bool)
        # A false offset is another one of -hops, -hops + 2, ..., hops, each as likely.
        shift = rng.integers(1, hops + 1)
        false = 2 * ((offset + hops) // 2 + shift) % (2 * hops + 2) - hops
        rows = np.arange(num)
        said = self.relation(np.where(label, offset, false))
        question = np.stack((people[:, 0], said, people[rows, hops]), 1)
        return self.shown(shuffled, question, label, hops, split)


@component("task", "kinship_as_published")
class PublishedKinship(KinshipTask):
    """Kinship as arXiv 2603.21676 publishes it, leak included: counting words solves it to the published level.

    u "parent" facts and then hops - u "child" facts lead from a to b; a false question is off by 2 or 4 generations;
    two to four further facts, of parents, children or siblings, are about other people. A fact is three tokens here
    and a sentence of seven words there. A recipe that trains on it has to waive ``task.shortcut``.

    Args:
        min_hops: Fewest facts from a to b in training.
        max_hops: Most facts from a to b in training.
        num_names: Names that people may have.

    Raises:
        ValueError: ``min_hops`` exceeds ``max_hops``, or there are too few names.
    """

    max_shortcut = 0.8
    ragged = True

    def __init__(self, *, min_hops: Count = 2, max_hops: Count = 5, num_names: Count = 20, **fields: Any) -> None:
        super().__init__(**fields)
        self.spans(min_hops, max_hops, lambda hops: 3 * (hops + 4) + 4)
        if num_names < self.top + 3:
            raise ValueError(f"num_names={num_names} must be at least max_hops + ood_range + 3 = {self.top + 3}")
        self._named(num_names)
        # An offset may be 4 beyond the largest.
        widest = self.top + 4
        relations = tuple(f"{offset:+d}" for offset in range(-widest, widest + 1))
        self.symbols = (*self.symbols[: _NAMES + num_names], *relations)
        self.vocab_size = len(self.symbols)

    def relation(self, offset: Array) -> Array:
        return super().relation(offset) + 4

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        hops = self.levels(rng, num, split)
        most, rows = int(hops.max(initial=1)), np.arange(num)
        people = rng.permuted(np.tile(np.arange(self.num_names), (num, 1)), axis=1) + _NAMES
        parents = rng.integers(0, hops + 1)
        step = np.arange(most)
        relation = np.where(step < parents[:, None], PARENT, CHILD)
        chain = np.stack((people[:, :most], relation, people[:, 1 : most + 1]), 2)
        chain = np.where((step < hops[:, None])[:, :, None], chain, 0)
        # Two different people who are not in the chain, anew for each further fact.
        outside = self.num_names - hops - 1
        one = rng.integers(0, outside[:, None], (num, 4))
        two = (one + rng.integers(1, outside[:, None], (num, 4))) % outside[:, None]
        names = [people[rows[:, None], (hops + 1)[:, None] + who] for who in (one, two)]
        further = np.stack((names[0], rng.integers(PARENT, SIBLING + 1, (num, 4)), names[1]), 2)
        further = np.where((np.arange(4) < rng.integers(2, 5, num)[:, None])[:, :, None], further, 0)
        label = rng.integers(0, 2, num).astype(bool)
        offset = 2 * parents - hops
        shift = rng.choice([-4, -2, 2, 4], num)
        said = self.relation(np.where(label, offset, offset + shift))
        question = np.stack((people[:, 0], said, people[rows, hops]), 1)
        return self.shown(_shuffled(rng, np.concatenate((chain, further), 1)), question, label, hops, split)


def _shuffled(rng: np.random.Generator, facts: Array) -> Array:
    """Facts in random order, empty ones last."""
    key = np.where(facts[:, :, 0] != 0, rng.random(facts.shape[:2]), 2.0)
    return np.take_along_axis(facts, np.argsort(key, axis=1)[:, :, None], axis=1)
