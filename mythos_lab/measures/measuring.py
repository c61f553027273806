"""Measures taken of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from torch import nn

from mythos_blocks import Slot, SpecLike, build
from mythos_blocks.checkpoints.files import declared_model
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe.errors import RecipeError, from_validation
from mythos_lab.recipe.schema import Recipe


def measure(model: nn.Module, samples: Samples, measures: Sequence[SpecLike] | None = None) -> list[Outcome]:
    """Take measures of a model.

    Args:
        model: A looped transformer, whatever wraps it, or an exported one.
        samples: What it reads.
        measures: Kinds, mappings or specs; ``None`` takes every kind that can be taken of it.

    Raises:
        ValueError: There is no such measure, or one cannot be taken of this model.

    Example:
        >>> outcomes = measure(model, Samples.of_tokens(tokens, targets), ["loop_verdict"])
        >>> print(outcomes[0].finding)
    """
    subject = Subject(declared_model(model), samples)
    return taken(chosen(subject, measures)[0], subject)


def chosen(subject: Subject, measures: Sequence[SpecLike] | None) -> tuple[list[Measure], dict[str, str]]:
    """The measures to take of a subject, and why each of the others cannot be.

    Raises:
        ValueError: There is no such measure, or one that is named cannot be taken.
    """
    wanted = every_measure() if measures is None else [built(each) for each in measures]
    refused = {each.kind: why for each in wanted if (why := each.refuses(subject)) is not None}
    for kind, why in refused.items() if measures is not None else ():
        raise RecipeError(f"measure {kind!r}: {why}")
    return [each for each in wanted if each.kind not in refused], refused


def taken(measures: Iterable[Measure], subject: Subject) -> list[Outcome]:
    """The outcomes of measures that can be taken of a subject."""
    with subject.evaluating():
        return [each.measure(subject) for each in measures]


def every_measure(*, by_default: bool = False) -> list[Measure]:
    """A measure of every kind with its default fields, or of those alone that are taken by default."""
    kinds = sorted(slot_info("measure").kinds.items())
    made = [cls() for _, cls in kinds if issubclass(cls, Measure) and (cls.by_default or not by_default)]
    return sorted(made, key=lambda each: not each.by_default)


def declared(recipe: Recipe, subject: Subject) -> list[Measure]:
    """The measures that a recipe declares, or that are taken of a model where it declares none.

    Raises:
        RecipeError: One that it declares cannot be taken of its model.
    """
    if recipe.measures is None:
        loops = subject.num_loops > 1
        return [each for each in every_measure(by_default=True) if loops and each.refuses(subject) is None]
    return refuse([built(each) for each in recipe.measures], subject, f"{recipe.name}: measures")


def refuse(measures: list[Measure], subject: Subject, where: str) -> list[Measure]:
    """The measures, where all of them can be taken of a subject.

    Raises:
        RecipeError: One cannot, or is of the kind of an earlier one; ``where`` is the list's path.
    """
    for place, each in enumerate(measures):
        if any(each.kind == earlier.kind for earlier in measures[:place]):
            raise RecipeError(
                f"{where}.{place}: {each.kind} stands there twice, and what is recorded by its name would be of one"
            )
        if (why := each.refuses(subject)) is not None:
            raise RecipeError(f"{where}.{place}: {each.kind}: {why}")
    return measures


def scalars(outcomes: Iterable[Outcome]) -> dict[str, Value]:
    """The values that are of no one loop, by their names as metrics."""
    return {v.metric: v for outcome in outcomes for v in outcome.values if v.loop is None}


def by_loop(outcomes: Iterable[Outcome]) -> dict[int, dict[str, float]]:
    """The others, by their loop."""
    found: dict[int, dict[str, float]] = {}
    for value in (v for outcome in outcomes for v in outcome.values):
        if value.loop is not None:
            found.setdefault(value.loop, {})[value.metric] = value.value
    return found


def built(declared: SpecLike) -> Measure:
    """The measure that is declared."""
    try:
        made = build(Slot("measure").resolve(declared))
    except ValidationError as error:
        raise from_validation("measure", error) from None
    assert isinstance(made, Measure)
    return made
