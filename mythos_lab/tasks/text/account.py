"""What a corpus came to, in words: how it was split, and what whoever trains on it should know."""

from __future__ import annotations

from mythos_lab.tasks.base import FEWEST_UNITS
from mythos_lab.tasks.text.corpus import Census
from mythos_lab.tasks.text.division import HELD_OUT, Division
from mythos_lab.tasks.text.skips import NO_LOSS
from mythos_lab.tasks.text.tokens import Prepared


def how_split(census: Census, division: Division) -> str:
    """In which way documents went to splits, and what became of copies."""
    own = list(census.num_own)
    share = f"{division.held_out:.3g} of them in each held-out split"
    if len(own) == 1:
        share = (
            f"{division.held_out:.3g} of training's documents in {'test' if own == ['validation'] else 'validation'}"
        )
    if census.stretches:
        how = f"too few documents to split: cut into {census.stretches} stretches of {census.stretch} bytes, {share}"
    elif division.by == "position":
        how = f"the end of the text is held out, {division.held_out:.3g} for each held-out split"
    elif len(own) == len(HELD_OUT):
        how = "validation and test are splits of the data's own"
    else:
        how = f"split by content, {share}"
    if len(own) == 1:
        how = f"{own[0]} is a split of the data's own; {how}"
    if not census.num_copies:
        return how
    return f"{how}; {census.num_copies} of {census.num_documents} documents are copies, {census.num_dropped} left out"


def remarks(text: Prepared, place: str) -> list[str]:
    """What was left out, stands twice, or is too little to tell anything, a line each."""
    said, census = [], text.census
    lost = {reason: num for reason, num in text.skips.counts.items() if reason not in NO_LOSS}
    if lost:
        documents = sum(lost.values()) + census.num_documents
        said.append(f"{text.skips.num_lost} of {documents} documents of {place!r} are left out: {text.skips}")
    for own, num in census.num_shared.items():
        if num:
            said.append(
                f"{num} of {census.num_own[own]} documents of the {own} split of {place!r} stand in another split "
                "too; they are left out of training, and of validation where test has them"
            )
    if census.num_dropped:  # copies that all stand in training are told of by the task, and are nothing to heed
        said.append(
            f"{census.num_copies} of {census.num_documents} documents of {place!r} are copies of others; all copies of "
            f"one are in one split, and held-out splits have it once ({census.num_dropped} left out)"
        )
    if census.unread:
        said.append(f"{place!r}: {census.unread}")
    for split in HELD_OUT:
        if (num := len(text.splits[split].ends)) < FEWEST_UNITS:
            said.append(
                f"{split} has {num} document{'s' * (num != 1)}: too few for an interval, which takes {FEWEST_UNITS}"
            )
    return said
