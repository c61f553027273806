"""What a study came to, for whoever ran it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.comparison.arms import without_verdict
from mythos_lab.comparison.cells import near
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.importance import importances
from mythos_lab.comparison.table import called, trials_table, verdict_table
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.report.report import Report
from mythos_lab.report.result import ui_command
from mythos_lab.report.table import Table, name, number
from mythos_lab.search.attributes import OUTCOME, REASON
from mythos_lab.search.foreign import outside, told
from mythos_lab.search.pruners import LoopAwarePruner, make_pruner
from mythos_lab.search.pruners.guard import guarded
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.standing import best_first, violated
from mythos_lab.search.trial import REPEATS
from mythos_lab.search.trial_folder import folder_of
from mythos_lab.search.trial_states import LEFT_OUT, REFUSED, is_enqueued, is_refused, is_settled

_NUM_SHOWN, _NUM_MORE = 8, 10


def study_report(
    space: Space,
    study: optuna.Study,
    found: Mapping[str, Comparison],
    seconds: float,
    figures: Sequence[Path] = (),
) -> Report:
    """Best trials or arms, importances, failures and vetoes, the card with its figures, and commands that show more."""
    report, file = Report(), space.file
    trials = [t for t in study.get_trials(deepcopy=False) if is_settled(t)]
    done = best_first(space, study)
    report.know({"study": file.name, "folder": space.folder})
    if done:
        shown = done if file.arms else done[:_NUM_SHOWN]
        best = f"best trials by {next(iter(file.objectives))}" + "; * on the front" * (len(file.objectives) > 1)
        report.show("trials", trials_table(space, study, shown, "arms" if file.arms else best))
    if found:
        report.show("verdicts", verdict_table(space, found))
        report.know({"findings": {arm: comparison.sentence for arm, comparison in found.items()}})
    for arm, comparison in found.items():
        report.say(f"{arm}: {comparison.sentence}", indent=2)
    missing = without_verdict(space, study)
    report.know({"without_verdict": missing})
    for arm, what in missing.items():
        report.say(f"{arm}: no verdict; {what}", indent=2)
    if not found and len(file.objectives) == 1 and len(done) > 3 and not file.arms:
        _importances(report, study, done)
    for line in _rungs(space, trials):
        report.say(line)
    outcomes = Counter(str(t.user_attrs.get(OUTCOME, t.state.name.lower())) for t in trials)
    report.say(
        f"{len(trials)} trials in {seconds:.0f} s: " + ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items()),
        {"num_trials": len(trials), "seconds": round(seconds), "outcomes": outcomes},
    )
    ends = endings(space, study)
    report.know({"left_out": ends})
    for line in ends:
        report.say(line, indent=2)
    if file.space and file.arms:
        report.say("no verdicts: arms beside a space are one more field that varies")
    _ways_on(report, space, trials, done, figures)
    return report


def endings(space: Space, study: optuna.Study) -> list[str]:
    """What was not trained to its end or is no candidate, and why; trials that share a reason in one line."""
    trials = [t for t in study.get_trials(deepcopy=False) if is_settled(t)]
    return [
        *left_out([*trials, *refused(study)], together=True), *_violations(study), *repeated(trials),
        *told_lines(space, study), *_queued(study),
    ]  # fmt: skip


def left_out(trials: Sequence[FrozenTrial], *, together: bool = False) -> list[str]:
    """What was not trained to its end, and why; ``together`` says a reason once, with the trials that share it."""
    reasons: dict[tuple[str, str, int], list[int]] = {}
    for trial in trials:
        if trial.user_attrs.get(OUTCOME) in (*LEFT_OUT, REFUSED):
            said = "".join(str(trial.user_attrs.get(REASON, "")).splitlines()[:1]).partition(f"trial {trial.number}: ")
            key = str(trial.user_attrs[OUTCOME]), said[2] or said[0], 0 if together else trial.number
            reasons.setdefault(key, []).append(trial.number)
    return [
        f"trial{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))} {outcome}: {reason}"
        for (outcome, reason, _), numbers in reasons.items()
    ]


def repeated(trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """Candidates that were drawn again, and not trained again."""
    numbers: dict[int, list[int]] = {}
    for trial in trials:
        if REPEATS in trial.user_attrs:
            numbers.setdefault(trial.user_attrs[REPEATS], []).append(trial.number)
    for first, n in numbers.items():
        yield f"trial{'s' * (len(n) > 1)} {', '.join(map(str, n))} drew what trial {first} was, and took its result"


def refused(study: optuna.Study) -> list[FrozenTrial]:
    """What somebody enqueued and the study could not run."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_refused(trial)]


def told_lines(space: Space, study: optuna.Study) -> Iterator[str]:
    """What was told from outside: its values, what of them lies outside the space, and whether it would be the best."""
    sign = -1 if next(iter(space.file.objectives.values())) == "maximize" else 1
    best = next(iter(best_first(space, study)), None)
    for trial in told(study):
        named = zip(space.file.objectives, trial.values, strict=True)
        values = ", ".join(f"{name} {value:.4g}" for name, value in named)
        line = f"trial {trial.number} was told from outside ({values}) and is no candidate: it was not measured here"
        if len(trial.values) == 1 and (best is None or sign * trial.values[0] < sign * best.values[0]):
            line += "; it would be the best"
        if (reason := outside(space, trial)) is not None:
            line += f"; outside the space: {reason}"
        yield line


def _queued(study: optuna.Study) -> Iterator[str]:
    """What waits although all trials that were asked for have ended."""
    waiting = [t.number for t in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)) if is_enqueued(t)]
    if waiting:
        numbers = ", ".join(map(str, waiting))
        yield f"trial{'s' * (len(waiting) > 1)} {numbers} enqueued, and not run yet: more --trials run it"


def _ways_on(
    report: Report, space: Space, trials: Sequence[FrozenTrial], done: Sequence[FrozenTrial], figures: Sequence[Path]
) -> None:
    if not done:
        report.say("no trial was trained to its end and meets its constraints")
    elif seed := next(iter(sorted(folder_of(space, done[0]).glob("seed-*"))), None):
        alone = [trial for trial in done if REPEATS not in trial.user_attrs]
        tied = len(space.file.objectives) == 1 and sum(trial.values == done[0].values for trial in alone) > 1
        report.say(f"{'first of a tie' if tied else 'best'}:   mythos depth {near(seed)}", {"best": seed}, whole=True)
    drawn = f", with {', '.join(path.name for path in figures)}" if figures else ""
    report.say(f"card:   {near(space.folder / 'card.md')}{drawn}", {"figures": list(figures)}, whole=True)
    report.say(f"more:   {ui_command((space.base.get('tracking') or {}).get('uri'))}", whole=True)
    if _takes_more(space, len(trials)):
        report.say(f"again:  mythos study {called(space.source)} --trials {len(trials) + _NUM_MORE}", whole=True)


def _importances(report: Report, study: optuna.Study, done: Sequence[FrozenTrial]) -> None:
    """The fields that can be told from noise; the others by name alone."""
    fields = importances(study)
    title = "parameter importances (PED-ANOVA; p against shuffled values)"
    columns = (name("field"), number("importance", form=".2f"), number("p", form=".2f"))
    table = Table(columns, [(f.field, f.share, f.p) for f in fields if f.is_told], title)
    if table.rows:
        report.show("importances", table)
    else:
        report.know({"importances": []})
    values = {trial.values[0] for trial in done}
    different = f"{len(values)} different values" if len(values) > 1 else "one value, so that nothing is told"
    report.say(f"importances rest on {len(done)} trials with {different} of the objective")
    if rest := [field.field for field in fields if not field.is_told]:
        said = f"importance cannot be told from noise by {len(done)} trials: {', '.join(rest)}"
        report.say(said, {"importances_not_told": rest})


def _takes_more(space: Space, num_trials: int) -> bool:
    """Whether the same study can go on to more trials."""
    try:
        return space.num_trials(num_trials + _NUM_MORE) > num_trials
    except RecipeError:
        return False


def _rungs(space: Space, trials: list[FrozenTrial]) -> list[str]:
    """How well the rungs of ``loop_aware`` told the end."""
    pruner = make_pruner(space.pruner)
    if not isinstance(pruner, LoopAwarePruner):
        return []
    return [str(rank) for rank in pruner.ranks(guarded(trials) if space.file.guard is not None else trials)]


def _violations(study: optuna.Study) -> Iterator[str]:
    """What was trained to its end and is no candidate all the same; trials that violate the same in one line."""
    numbers: dict[str, list[int]] = {}
    for trial, broken in violated(study).items():
        numbers.setdefault(", ".join(broken), []).append(trial)
    for texts, n in numbers.items():
        yield f"trial{'s' * (len(n) > 1)} {', '.join(map(str, n))} trained, but violate{'s' * (len(n) == 1)} {texts}"
