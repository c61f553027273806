"""The loop verdict: how many iterations a model uses, and how many of them are different operators."""

from __future__ import annotations

import torch

from mythos_blocks import component
from mythos_blocks.declaring.types import Loops, Many, Probability
from mythos_lab.measures.anonymous import is_anonymous
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.flips import Flips, Share, Word
from mythos_lab.measures.samples import rows_of
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.words import Found, fewest, fewest_times, shortest
from mythos_lab.metrics import METRICS

_NAMES = ("loops/used", "loops/distinct", "loops/used_flips", "loops/distinct_flips", "loops/noise_flips")

_TELLS_LITTLE = 0.5
"""A bound of flips above which "the same answers" would be a word too many."""


@component("measure", "loop_verdict")
class LoopVerdict(Measure):
    """Iterations used, N, and different operators among them, K, each with a word of iteration indices that shows it.

    F(w) is the model run with the sequence w of iteration indices; flips(w) is the share of answers that differ from
    those of F(0 .. T-1). N is the length of the shortest order-keeping sub-word u of 0 .. T-1 with flips(u) <= delta; K
    is the fewest operators of an idempotent merge of u's slots with flips <= delta. Words are chosen on one half of the
    samples. On the other half one Clopper-Pearson bound is given for the chosen word: that it suffices is bounded, that
    nothing less does is an observation on the first half.

    Args:
        delta: Share of answers that may flip.
        budget: Positions that the search may run through an iteration; where it ends, what was found is an upper bound.
        num_loops: T; ``null`` takes the evaluated loop count.
    """

    quantities = {name: METRICS[name] for name in _NAMES}
    source = "shortest order-keeping sub-word, idempotent merges; Clopper and Pearson 1934"
    null = "N = T and K = N, the most there can be, of T operators that cannot stand in for each other."
    deceives = (
        "N and K are of answers, within delta, on samples like these: an iteration that only rare samples need reads "
        "as unused. That nothing shorter suffices is no bound."
    )
    by_default = True

    def __init__(self, *, delta: Probability = 0.01, budget: Many = 1_000_000, num_loops: Loops | None = None) -> None:
        self.delta, self.budget, self.num_loops = delta, budget, num_loops

    def refuses(self, subject: Subject) -> str | None:
        if subject.samples.num_units < 2:
            return "words are chosen on one half and held against the other, and the samples are one unit"
        last = subject.model.core.last_index
        if self.num_loops is not None and last is not None and self.num_loops > last + 1:
            return f"num_loops={self.num_loops}, and a table of the core ends after {last + 1} iterations"
        return None

    def measure(self, subject: Subject) -> Outcome:
        halves = [Subject(subject.model, half) for half in subject.samples.halves()]
        for half in halves:
            half.num_loops = self.num_loops or subject.num_loops
        searched, held_out = halves
        num_loops = searched.num_loops
        batch = searched.samples.batches[0]
        untold = is_anonymous(searched, rows_of(batch, torch.arange(min(4, len(batch.tokens)))))
        flips = Flips(searched, self.delta, self.budget)
        whole = tuple(range(num_loops))
        repeated = fewest_times(num_loops, flips.within) if untold else None
        used = repeated or shortest(num_loops, flips.within)
        distinct = repeated or fewest(used.word, flips.within)
        bounds = Flips(held_out, self.delta, self.budget)
        at_u, at_w = bounds.share(used.word), bounds.share(distinct.word)
        noise = bounds.share(whole, noise=1)
        return self.outcome(
            _said(num_loops, used, distinct, at_w, noise, repeated is not None, self.delta),
            Value("loops/used", len(used.word), note=_spelled(used.word)),
            Value("loops/distinct", len(set(distinct.word)), note=_spelled(distinct.word)),
            Value("loops/used_flips", at_u.value, interval=(0.0, at_u.bound), note=_spelled(used.word)),
            Value("loops/distinct_flips", at_w.value, interval=(0.0, at_w.bound), note=_spelled(distinct.word)),
            Value("loops/noise_flips", noise.value, interval=(0.0, noise.bound)),
        )


def _said(
    num_loops: int, used: Found, distinct: Found, share: Share, noise: Share, anonymous: bool, delta: float
) -> str:
    if num_loops == 1:
        return "one loop runs: there is nothing to compare it with"
    most = "" if used.is_least else "at most "
    operators = "" if distinct.is_least else "at most "
    why = " (by construction: the loop is not told which iteration it is in)" if anonymous else ""
    held = f", more than the {delta:.2g} allowed" if share.value > delta else ""
    drawn = f"; another seed of the model's own noise flips {noise.value:.1%}" if noise.value else ""
    if distinct.word == tuple(range(num_loops)):
        shown = "nothing less gives the same answers" if distinct.is_least else "nothing less was found that does it"
    elif share.bound > _TELLS_LITTLE:
        shown = (
            f"{_spelled(distinct.word)} flips {share.value:.1%} of the answers held out, which are too few for a bound "
            f"(at most {share.bound:.0%})"
        )
    else:
        shown = (
            f"{_spelled(distinct.word)} gives the same answers, at most {share.bound:.1%} flip "
            f"(95 %, {share.num_answers} answers held out)"
        )
    return (
        f"{most}{len(used.word)} of {num_loops} loops used, {operators}{len(set(distinct.word))} distinct{why}: "
        f"{shown}{held}{drawn}"
    )


def _spelled(word: Word) -> str:
    return "[" + ", ".join(map(str, word)) + "]"
