"""What a settled study came to: verdicts, what is said of it, the card."""

from __future__ import annotations

from collections.abc import Callable

import optuna

from mythos_lab.comparison.arms import verdicts
from mythos_lab.comparison.card import write_card
from mythos_lab.comparison.reporting.study_page import study_answer
from mythos_lab.comparison.study_report import study_report
from mythos_lab.report.report import Report
from mythos_lab.report.terminal import show
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.study import Conclude, Concluded


def concluding(tell: Callable[[Report], None]) -> Conclude:
    """What tells what came out, and writes the study's card."""

    def conclude(space: Space, study: optuna.Study, seconds: float) -> Concluded:
        found = verdicts(space, study)
        answer = study_answer(space, study, found)
        files = write_card(space, study, found, answer)  # first: whatever becomes of the output, it is kept
        report = study_report(space, study, found, seconds, files[1:])
        report.say(answer, {"answer": answer})
        tell(report)
        return Concluded(files, answer)

    return conclude


conclude = concluding(show)
"""Prints it."""


def recorded(space: Space, study: optuna.Study, seconds: float) -> Concluded:
    """Write the study's card and print nothing: whoever asks for this has a better form for what came out."""
    found = verdicts(space, study)
    answer = study_answer(space, study, found)
    return Concluded(write_card(space, study, found, answer), answer)
