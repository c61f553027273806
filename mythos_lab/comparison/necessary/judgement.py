"""What a matrix tells: the necessary depth, and whether evaluating deeper is test-time scaling or its illusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mythos_lab.comparison.necessary.equivalence import Equivalence, tost
from mythos_lab.comparison.necessary.matrix import Matrix
from mythos_lab.comparison.verdict import ALPHA, FEWEST_WITHOUT_EFFECT

Scaling = Literal["test-time scaling", "illusion", "no gain", "cannot tell"]


@dataclass(frozen=True)
class Judgement:
    """What follows from a matrix.

    Attributes:
        reference: The deepest depth that was trained at; each shallower one is held against it.
        against: By depth, the model trained and evaluated there against the reference.
        at_most: The least depth that is shown to suffice; the reference where none below it is.
        above: The greatest depth that is shown not to suffice; ``None`` where none is.
        by_means: The least depth whose mean is within delta of the reference's or above it: no test.
        beyond: By depth, the model trained there, evaluated at the reference depth against at its own.
        shallow: The depth at which ``apparent`` begins: the least that suffices, or else does by its mean, or else the
            next to the reference.
        apparent: The deepest model at its own depth against the same at ``shallow``; ``None`` where that is not known.
        scaling: What evaluating deeper is.
        necessary_said: The sentence of the necessary depth.
        scaling_said: The sentence of evaluating deeper.
        flags: What limits both.
    """

    reference: int
    against: dict[int, Equivalence]
    at_most: int
    above: int | None
    by_means: int
    beyond: dict[int, Equivalence]
    shallow: int
    apparent: Equivalence | None
    scaling: Scaling
    necessary_said: str
    scaling_said: str
    flags: tuple[str, ...]

    @property
    def necessary(self) -> int | None:
        """T_nec, where it is told: nothing that was trained lies between what suffices and what does not."""
        return self.at_most if _is_told(self.against, self.at_most, self.above) else None


def judge(matrix: Matrix) -> Judgement:
    """Say what a matrix tells.

    Depths are tried one after the other, from the deepest down as long as each suffices, and from the shallowest up as
    long as each does not, so that each test keeps its 5 % without a correction for how many there are (Hsu and Berger
    1999): the chance that depth which is needed is called superfluous, or the reverse, is at most 5 % each.
    """
    depths, delta = [depth for depth in matrix.depths if (depth, depth) in matrix.values], matrix.delta
    reference = depths[-1]

    def held(candidate: tuple[int, int], other: tuple[int, int]) -> Equivalence:
        return tost(matrix.quality(*candidate), matrix.quality(*other), delta, resolution=matrix.resolution)

    against = {depth: held((depth, depth), (reference, reference)) for depth in depths[:-1]}
    at_most, above = reference, None
    for depth in reversed(against):
        if not against[depth].suffices:
            break
        at_most = depth
    for depth, found in against.items():
        if found.outcome != "worse":
            break
        above = depth
    by_means = next((d for d, found in against.items() if found.difference > -delta), reference)
    cells = [depth for depth in depths[:-1] if (depth, reference) in matrix.values]
    beyond = {depth: held((depth, reference), (depth, depth)) for depth in cells}
    shallow = at_most if at_most < reference else by_means if by_means < reference else depths[-2]
    known = (reference, shallow) in matrix.values
    apparent = held((reference, reference), (reference, shallow)) if known else None
    is_told = _is_told(against, at_most, above)
    scaling, said = _scaling(reference, at_most, is_told, shallow, against, beyond, apparent)
    return Judgement(
        reference, against, at_most, above, by_means, beyond, shallow, apparent, scaling,
        _necessary(matrix, reference, against, at_most, above, by_means), said, tuple(_flags(matrix, against, at_most)),
    )  # fmt: skip


def _necessary(
    matrix: Matrix, reference: int, against: dict[int, Equivalence], at_most: int, above: int | None, by_means: int
) -> str:
    """The sentence of the necessary depth."""
    budget = f"within {matrix.delta:g} of {matrix.metric}, over {len(matrix.seeds)} paired seeds"
    if _is_told(against, at_most, above):
        least = "the least that was trained" if above is None else f"{above} not enough ({against[above].shown})"
        if at_most == reference:
            return f"necessary depth: {_loops(reference)}, as many as were trained; {least}; {budget}"
        return (
            f"necessary depth: {_loops(at_most)}; trained at {at_most} the model is at least as good as at {reference} "
            f"({against[at_most].shown}); {least}; {budget}"
        )
    known = [f"more than {above}"] * (above is not None) + [f"at most {at_most}"] * (at_most < reference)
    few = len(matrix.seeds) < FEWEST_WITHOUT_EFFECT
    why = f"that a depth suffices takes {FEWEST_WITHOUT_EFFECT} seeds" if few else "the seeds scatter too much"
    told = f"{' and '.join(known)} (loops); not enough seeds for more" if known else "not enough seeds"
    return f"necessary depth: {told} ({why}); by the means alone it is {by_means}; {budget}"


def _is_told(against: dict[int, Equivalence], at_most: int, above: int | None) -> bool:
    """Whether nothing that was trained lies between what suffices and what does not."""
    return max((depth for depth in against if depth < at_most), default=None) == above


def _loops(count: int) -> str:
    return f"{count} loop{'s' * (count != 1)}"


def _scaling(
    reference: int,
    at_most: int,
    is_told: bool,
    shallow: int,
    against: dict[int, Equivalence],
    beyond: dict[int, Equivalence],
    apparent: Equivalence | None,
) -> tuple[Scaling, str]:
    """What evaluating deeper is, and its sentence."""
    family = len(beyond)
    gains = {depth: found for depth, found in beyond.items() if found.p_better * family < ALPHA}
    if gains:
        best = max(gains, key=lambda depth: gains[depth].difference)
        return "test-time scaling", (
            f"evaluating deeper is test-time scaling: trained at {best}, the model gains "
            f"{gains[best].shown} from {best} to {reference} loops"
        )
    looks = apparent is not None and apparent.p_better < ALPHA
    if looks and at_most < reference:
        assert apparent is not None
        return "illusion", (
            f"evaluating deeper is the illusion of test-time scaling: trained at {reference} and evaluated at "
            f"{shallow} and then at {reference}, the model gains {apparent.shown}, while trained at {shallow} it is at "
            f"least as good at {shallow} ({against[shallow].shown})"
        )
    nothing = beyond and all(found.is_enough and found.p_no_better < ALPHA for found in beyond.values())
    if nothing and (is_told or not looks):
        return "no gain", f"evaluating deeper than trained gains nothing that matters, up to {reference} loops"
    said = "whether evaluating deeper is test-time scaling cannot be told: not enough seeds"
    if looks:
        assert apparent is not None
        said += (
            f"; it looks like it (trained at {reference}, the model gains {apparent.shown} from {shallow} to "
            f"{reference} loops), and trained at {shallow} it differs at {shallow} by {against[shallow].shown}"
        )
    return "cannot tell", said


def _flags(matrix: Matrix, against: dict[int, Equivalence], at_most: int) -> Iterator[str]:
    reference = matrix.depths[-1]
    if (
        matrix.chance is not None
        and matrix.metric == "val/accuracy"
        and matrix.mean(reference, reference) <= matrix.chance + matrix.delta
    ):
        yield f"at {reference} loops the model is no better than guessing ({matrix.chance:g}): nothing needs its loops"
    for depth, names in matrix.undeclared.items():
        yield f"trained at {depth}, runs also differ in {', '.join(names)}: the difference may be due to that"
    for depth, what in matrix.lost.items():
        yield f"trained at {depth}: no result; {what}"
    uneven = [depth for depth, found in against.items() if depth < at_most and found.suffices]
    if uneven:
        yield f"trained at {uneven[0]} it is as good as the deepest too, though a depth between is not shown to be"
    better = [depth for depth, found in against.items() if found.outcome == "better"]
    if better:
        shallower = ", ".join(map(str, better))
        yield f"trained at {shallower} it is better than at {reference}: more loops cost more than they bring"
    if matrix.hops is not None:
        name, most = matrix.hops
        yield f"the hardest training samples have {most} {name}"
