"""What a settled study came to: verdicts, what is said of it, the card."""

from __future__ import annotations

from collections.abc import Callable

import optuna

from mythos_lab.comparison.arms import verdicts, without_verdict
from mythos_lab.comparison.card import write_card
from mythos_lab.comparison.reporting.study_page import study_answer
from mythos_lab.comparison.study_report import study_report
from mythos_lab.comparison.table import trials_table, verdict_table
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.report.report import Report
from mythos_lab.report.terminal import show
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.standing import best_first
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


def arms_compared(space: Space, study: optuna.Study) -> Report:
    """The arms of a study side by side, with the sentence on what each is worth against the first.

    Raises:
        RecipeError: The study has no arms of fixed values.
    """
    if not space.file.arms or space.file.space:
        raise RecipeError(
            f"{space.file.name}: has no arms of fixed values to compare; mythos report says what it found"
        )
    report, found = Report(), verdicts(space, study)
    if done := best_first(space, study):
        report.show("trials", trials_table(space, study, done, "arms"))
    if found:
        report.show("verdicts", verdict_table(space, found))
    missing, answer = without_verdict(space, study), study_answer(space, study, found)
    for arm, what in missing.items():
        report.say(f"{arm}: no verdict; {what}", indent=2)
    report.know({"study": space.file.name, "without_verdict": missing})
    report.say(answer, {"answer": answer})
    return report


conclude = concluding(show)
"""Prints it."""


def recorded(space: Space, study: optuna.Study, seconds: float) -> Concluded:
    """Write the study's card and print nothing: whoever asks for this has a better form for what came out."""
    found = verdicts(space, study)
    answer = study_answer(space, study, found)
    return Concluded(write_card(space, study, found, answer), answer)
