"""Where do k relations, one after the other, lead?"""

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
from mythos_lab.tasks.ragged import Ragged, asked, join
from mythos_lab.tasks.samples import Samples

ASK = 1
_ENTITIES = 2


@component("task", "relational_composition")
class RelationalComposition(Generated):
    """k-fold composition of relations that the sample itself defines: ``(r_k o ... o r_1)(x)``.

    Every relation is a random permutation of the entities, given as facts ``x r y`` in random order; the question is
    an entity and k different relations. A product of different random permutations is uniform whatever the question
    says, and all facts are of equal number: question and counts tell nothing, by construction.

    Args:
        num_entities: Entities that relations map to one another.
        min_relations: Least k in training.
        max_relations: Largest k in training.
        num_relations: Relations of a sample; ``null`` takes as many as the longest questions use.

    Raises:
        ValueError: ``min_relations`` exceeds ``max_relations``, or there are fewer relations than questions use.
    """

    difficulty_name = "relations"
    difficulty_is_depth = True
    compositional = True

    def __init__(
        self,
        *,
        num_entities: Annotated[Count, Field(ge=2)] = 4,
        min_relations: Count = 1,
        max_relations: Count = 4,
        num_relations: Count | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        top = max_relations + self.ood_range
        if num_relations is not None and num_relations < top:
            raise ValueError(f"num_relations={num_relations} must be at least max_relations + ood_range = {top}")
        self.num_entities, self.num_relations = num_entities, num_relations or top
        self.num_facts = self.num_entities * self.num_relations
        self.spans(min_relations, max_relations, lambda k: 3 * self.num_facts + k + 2)
        self.symbols = (
            "",
            "?",
            *(f"x{i}" for i in range(num_entities)),
            *(f"r{i}" for i in range(self.num_relations)),
        )
        self.vocab_size = len(self.symbols)
        self.answers = tuple(range(_ENTITIES, _ENTITIES + num_entities))

    @property
    def chance(self) -> float:
        return 1 / self.num_entities

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        e, r = self.num_entities, self.num_relations
        k = self.levels(rng, num, split)
        image = rng.permuted(np.tile(np.arange(e), (num, r, 1)), axis=2)
        fact = np.stack(
            (
                np.broadcast_to(np.arange(e), (num, r, e)) + _ENTITIES,
                np.broadcast_to(np.arange(r)[:, None], (num, r, e)) + _ENTITIES + e,
                image + _ENTITIES,
            ),
            3,
        ).reshape(num, r * e, 3)
        fact = np.take_along_axis(fact, np.argsort(rng.random((num, r * e)), axis=1)[:, :, None], axis=1)
        relations = np.argsort(rng.random((num, r)), axis=1)
        start = rng.integers(0, e, num)
        at, rows = start, np.arange(num)
        for i in range(int(k.max(initial=0))):
            at = np.where(i < k, image[rows, relations[:, i], at], at)
        prompt = join(
            Ragged.full(fact.reshape(num, -1)), Ragged.full(start + _ENTITIES), Ragged(relations + _ENTITIES + e, k)
        )
        tokens, targets, real = asked(prompt, Ragged.full(at + _ENTITIES), ASK, "parallel", self.width(split))
        return Samples(tokens, targets, k, real=real)

    def oracle(self, batch: Batch) -> Tensor:
        answers = []
        for row in batch.tokens.tolist():
            facts = [row[3 * i : 3 * i + 3] for i in range(self.num_facts)]
            image = {(x, r): y for x, r, y in facts}
            at, *relations = row[3 * self.num_facts : row.index(ASK)]
            for relation in relations:
                at = image[at, relation]
            answers.append(at)
        return filled(batch, np.array(answers))

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        tokens = batch.tokens.numpy()
        rows, first = np.arange(len(tokens)), 3 * self.num_facts
        end = (tokens == ASK).argmax(1)
        return {
            "the entity in question": tokens[:, first : first + 1],
            "the question's entity and last relation": np.stack((tokens[:, first], tokens[rows, end - 1]), 1),
            "first and last fact": np.concatenate((tokens[:, :3], tokens[:, first - 3 : first]), 1),
        }

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """Where the first relation leads, and what leads where by the last."""
        tokens = batch.tokens.numpy()
        rows, first = np.arange(len(tokens)), 3 * self.num_facts
        facts = tokens[:, :first].reshape(len(tokens), -1, 3)
        known = (facts[:, :, 0] == tokens[:, first, None]) & (facts[:, :, 1] == tokens[:, first + 1, None])
        return {"one relation": facts[rows, known.argmax(1), 2][:, None]}
