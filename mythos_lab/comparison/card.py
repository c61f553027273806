"""A study's card: one page of Markdown that says what was asked, what was held equal, and what came out.

It is made from the study alone, so that it comes out the same whenever it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna

from mythos_lab.comparison.arms import without_verdict
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.reporting.search_sections import importance_section, search_section
from mythos_lab.comparison.study_report import left_out, refused, repeated, told_lines
from mythos_lab.comparison.table import trials_table, verdict_table
from mythos_lab.comparison.verdict import shown_mean
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.report.page import Figure
from mythos_lab.report.page.drawing import WIDE, draw
from mythos_lab.report.verdicts import verdict_figure
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.standing import best_first, complete, violated
from mythos_lab.search.trial_states import is_settled

CARD, FIGURE = "card.md", "verdicts.png"


def write_card(space: Space, study: optuna.Study, found: Mapping[str, Comparison], answer: str = "") -> list[Path]:
    """Write the card into the study's folder, and its figures: of arms their verdicts, of a search what led where.

    Args:
        space: The study's space.
        study: The study.
        found: Verdicts on its arms.
        answer: What answers the question that it asks.

    Returns:
        The card, then the figures.
    """
    figures = _figures(space, study)
    write_whole(space.folder / CARD, card(space, study, found, answer, figures))
    drawn = [space.folder / _file(figure) for figure in figures]
    for figure, path in zip(figures, drawn, strict=True):
        write_whole(path, draw(figure.chart, figure.key, WIDE).svg)
    if not found:
        return [space.folder / CARD, *drawn]
    metric = next(iter(found.values())).metric
    intervals = {name: (c.verdict.difference, c.verdict.low, c.verdict.high) for name, c in found.items()}
    against = next(iter(space.file.arms))
    of_verdicts = verdict_figure(intervals, space.file.matters, metric, against, space.folder / FIGURE)
    return [space.folder / CARD, of_verdicts, *drawn]


def _figures(space: Space, study: optuna.Study) -> list[Figure]:
    """History or front, parallel coordinates and importances of a search; none of arms alone."""
    if not space.file.space:
        return []
    done = best_first(space, study)
    sections = search_section(space, study, done), importance_section(space, study, done)
    return [part for section in sections for part in section.parts if isinstance(part, Figure)]


def _file(figure: Figure) -> str:
    return f"{figure.key}.svg"


def card(
    space: Space,
    study: optuna.Study,
    found: Mapping[str, Comparison],
    answer: str = "",
    figures: Sequence[Figure] = (),
) -> str:
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
    for figure in figures:
        lines += [f"![{in_text(figure.caption)}]({_file(figure)})", ""]
    missing = without_verdict(space, study)
    lines += [f"- {in_text(f'{name}: no verdict; {what}')}" for name, what in missing.items()]
    lines += [""] if missing else []
    said = [*left_out([*trials, *refused(study)])]
    said += [f"trial {number} trained, but violates {', '.join(t)}" for number, t in violated(study).items()]
    lines += [f"- {in_text(line)}" for line in [*said, *repeated(trials), *told_lines(space, study)]]
    lines += ["", in_text(answer)] if answer else []
    return "\n".join(lines).rstrip() + "\n"
