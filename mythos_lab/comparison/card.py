"""A study's card: one page of Markdown that says what was asked, what was held equal, and what came out.

It is made from the study alone, so that it comes out the same whenever it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna

from mythos_lab.comparison.arms import without_verdict
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.study_report import left_out, refused, repeated, told_lines
from mythos_lab.comparison.table import trials_table, verdict_table
from mythos_lab.comparison.verdict import shown_mean
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.report.verdicts import verdict_figure
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.standing import complete, violated
from mythos_lab.search.trial_queue import is_settled

CARD, FIGURE = "card.md", "verdicts.png"


def write_card(space: Space, study: optuna.Study, found: Mapping[str, Comparison], answer: str = "") -> list[Path]:
    """Write the card, and for arms the figure of their verdicts, into the study's folder; returns both paths.

    Args:
        space: The study's space.
        study: The study.
        found: Verdicts on its arms.
        answer: What answers the question that it asks.
    """
    write_whole(space.folder / CARD, card(space, study, found, answer))
    if not found:
        return [space.folder / CARD]
    metric = next(iter(found.values())).metric
    intervals = {name: (c.verdict.difference, c.verdict.low, c.verdict.high) for name, c in found.items()}
    against = next(iter(space.file.arms))
    figure = verdict_figure(intervals, space.file.matters, metric, against, space.folder / FIGURE)
    return [space.folder / CARD, figure]


def card(space: Space, study: optuna.Study, found: Mapping[str, Comparison], answer: str = "") -> str:
    """The page."""
    file = space.file
    trials = [trial for trial in study.get_trials(deepcopy=False) if is_settled(trial)]
    lines = [f"# {in_text(file.name)}", "", *([in_text(file.description), ""] if file.description else [])]
    overrides = " ".join(file.overrides)
    lines += [f"Recipe {as_code(file.recipe)}{f' with {as_code(overrides)}' if overrides else ''}.", ""]
    for task, hold in space.holds.items():
        held = ", ".join(f"{metric} = {shown_mean([float(value)])}" for metric, value in hold.budgets.items())
        on = f"On {in_text(task)}, held" if task else "Held"
        lines += [f"{on} within {hold.tolerance:.0%}, by {', '.join(hold.paths)}: {held}.", ""]
    if file.constraints:
        lines += [f"Constraints: {', '.join(map(as_code, file.constraints))}.", ""]
    seeds = f"{file.seeds} paired seeds each" if file.seeds > 1 else "one seed each"
    marked = "; * is on the front" * (len(file.objectives) > 1)
    lines += [f"{len(trials)} trials, {seeds}; ± is half a 95 % interval{marked}.", ""]
    done = complete(study)
    lines += [*([trials_table(space, study, done).markdown(), ""] if done else [])]
    if found:
        first, family = next(iter(found.values())), file.num_verdicts
        lines += [
            f"{first.metric} against {in_text(next(iter(file.arms)))}, p by Holm's method over {family} verdicts:",
            "",
            verdict_table(space, found).markdown(),
            "",
            f"![differences with their intervals]({FIGURE})",
            "",
        ]
    missing = without_verdict(space, study)
    lines += [f"- {in_text(f'{name}: no verdict; {what}')}" for name, what in missing.items()]
    lines += [""] if missing else []
    said = [*left_out([*trials, *refused(study)])]
    said += [f"trial {number} trained, but violates {', '.join(t)}" for number, t in violated(study).items()]
    lines += [f"- {in_text(line)}" for line in [*said, *repeated(trials), *told_lines(space, study)]]
    lines += ["", in_text(answer)] if answer else []
    return "\n".join(lines).rstrip() + "\n"
