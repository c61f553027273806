"""A study's card: one page of Markdown that says what was asked, what was held equal, and what came out.

It is made from the study alone, so that it comes out the same whenever it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from mythos_lab.comparison.arms import without_verdict
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.verdict import shown_mean
from mythos_lab.report.verdicts import verdict_figure
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.standing import complete, on_front, violated
from mythos_lab.search.trial import values_by_seed
from mythos_lab.search.trial_queue import LEFT_OUT, OUTCOME, REASON, is_settled

CARD, FIGURE = "card.md", "verdicts.png"


def write_card(space: Space, study: optuna.Study, found: Mapping[str, Comparison]) -> list[Path]:
    """Write the card, and for arms the figure of their verdicts, into the study's folder; returns both paths."""
    (space.folder / CARD).write_text(card(space, study, found), encoding="utf-8")
    if not found:
        return [space.folder / CARD]
    metric = next(iter(found.values())).metric
    intervals = {name: (c.verdict.difference, c.verdict.low, c.verdict.high) for name, c in found.items()}
    against = next(iter(space.file.arms))
    figure = verdict_figure(intervals, space.file.matters, metric, against, space.folder / FIGURE)
    return [space.folder / CARD, figure]


def card(space: Space, study: optuna.Study, found: Mapping[str, Comparison]) -> str:
    """The page."""
    file = space.file
    trials = [trial for trial in study.get_trials(deepcopy=False) if is_settled(trial)]
    lines = [f"# {file.name}", "", *([file.description, ""] if file.description else [])]
    overrides = " ".join(file.overrides)
    lines += [f"Recipe `{file.recipe}`{f' with `{overrides}`' if overrides else ''}.", ""]
    if (hold := space.hold) is not None:
        held = ", ".join(f"{metric} = {shown_mean([float(value)])}" for metric, value in hold.budgets.items())
        lines += [f"Held within {hold.tolerance:.0%}, by {', '.join(hold.paths)}: {held}.", ""]
    if file.constraints:
        lines += [f"Constraints: {', '.join(f'`{text}`' for text in file.constraints)}.", ""]
    seeds = f"{file.seeds} paired seeds each" if file.seeds > 1 else "one seed each"
    marked = "; * is on the front" * (len(file.objectives) > 1)
    lines += [f"{len(trials)} trials, {seeds}; ± is half a 95 % interval{marked}.", ""]
    lines += [*_results(space, complete(study), on_front(space, study)), ""]
    if found:
        lines += [*_verdicts(space, found), ""]
    missing = without_verdict(space, study)
    lines += [*(f"- {name}: no verdict; {what}" for name, what in missing.items()), *([""] if missing else [])]
    lines += _left_out(trials)
    lines += [f"- trial {number} trained, but violates {', '.join(t)}" for number, t in violated(study).items()]
    return "\n".join(lines).rstrip() + "\n"


def _results(space: Space, done: list[FrozenTrial], front: set[int]) -> Iterable[str]:
    objectives = list(space.file.objectives)
    names = sorted({name for trial in done for name in trial.params})
    params_too = "cost/params" not in objectives
    yield _row(["trial", *names, *objectives, *["cost/params"] * params_too])
    yield _row(["---"] * (1 + len(names) + len(objectives) + params_too))
    for trial in done:
        means = [shown_mean(values) for values in values_by_seed(trial, objectives)]
        params = [_short(trial.params.get(name, "")) for name in names]
        size = [f"{trial.user_attrs.get('cost/params', 0):,.0f}"] * params_too
        yield _row([f"{trial.number}{'*' * (trial.number in front)}", *params, *means, *size])


def _verdicts(space: Space, found: Mapping[str, Comparison]) -> Iterable[str]:
    first = next(iter(found.values()))
    family = len(space.file.arms) - 1
    yield f"{first.metric} against {next(iter(space.file.arms))}, p by Holm's method over {family} verdicts:"
    yield ""
    yield _row([ARM, "difference", "95 % interval", "p", "verdict", "also differs in"])
    yield _row(["---"] * 6)
    for name, comparison in found.items():
        v = comparison.verdict
        interval = f"{v.low:+.3g} to {v.high:+.3g}"
        outcome = v.outcome if v.outcome != "not enough seeds" else f"not enough seeds (finds {v.detectable:.2g})"
        others = ", ".join(comparison.undeclared) or "nothing undeclared"
        yield _row([name, f"{v.difference:+.3g}", interval, f"{v.p_adjusted:.2g}", outcome, others])


def _left_out(trials: list[FrozenTrial]) -> list[str]:
    ended = [t for t in trials if t.user_attrs.get(OUTCOME) in LEFT_OUT]
    return [f"- trial {t.number} {t.user_attrs[OUTCOME]}: {t.user_attrs.get(REASON, '')}" for t in ended]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
