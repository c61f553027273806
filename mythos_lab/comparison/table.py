"""What a study came to, for the terminal."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.table import Table

from mythos_lab.comparison.arms import without_verdict
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.holdout import Holdout, as_rows
from mythos_lab.comparison.match import Match
from mythos_lab.comparison.verdict import shown_mean
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import data_dir
from mythos_lab.search.pruners import LoopAwarePruner, make_pruner
from mythos_lab.search.pruners.guard import guarded
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.standing import best_first, on_front, violated
from mythos_lab.search.trial import values_by_seed
from mythos_lab.search.trial_queue import FOLDER, LEFT_OUT, OUTCOME, REASON, is_settled

_NUM_SHOWN, _NUM_MORE = 8, 10


def print_match(found: Match, written: Path | None) -> None:
    """The counterpart's sizes and budgets against the original's."""
    console = Console()
    table = _table("", "original", "counterpart", "mismatch", title=found.recipe.name)
    for name, (a, b, miss) in found.held.items():
        table.add_row(name, f"{a:,.0f}", f"{b:,.0f}", f"{miss:+.2%}")
    for path, (before, after) in found.varied.items():
        table.add_row(path, str(before), str(after), "")
    if "model.core.depth" not in found.varied:
        table.add_row("model.core.depth", "", str(found.recipe.model_dump(mode="json")["model"]["core"]["depth"]), "")
    console.print(table)
    if written is not None:
        console.print(f"written: {written}   train: mythos train {written}", highlight=False, soft_wrap=True)


def print_comparison(found: Comparison) -> None:
    """What went in and differs, each seed's values, and the finding."""
    console = Console()
    table = _table("input", "A", "B", "", title="what differs")
    for name, (a, b) in found.unequal.items():
        table.add_row(name, _brief(a), _brief(b), "undeclared" if name in found.undeclared else "declared")
    console.print(table if found.unequal else "the arms do not differ in anything that went in")
    table = Table("seed", "A", "B", "B - A", title=found.metric, box=None)
    for seed in sorted(set(found.a.metrics) & set(found.b.metrics)):
        a, b = (arm.metrics[seed][found.metric] for arm in (found.a, found.b))
        table.add_row(str(seed), f"{a:.4g}", f"{b:.4g}", f"{b - a:+.4g}")
    console.print(table)
    console.print(found.sentence, highlight=False)


def print_arms(space: Space) -> None:
    """The arms of a study and what each changes, before anything trains."""
    console = Console()
    table = _table(
        "arm", "changes", title=f"{space.file.name}: {len(space.file.arms)} arms of {space.file.seeds} seeds"
    )
    for name, changes in space.file.arms.items():
        table.add_row(name, ", ".join(f"{path}={value}" for path, value in changes.items()))
    console.print(table)
    console.print(f"run:    mythos study {_called(space.source)}", highlight=False, soft_wrap=True)


def print_holdout(space: Space, found: Holdout) -> None:
    """What the test split said, and when it was opened."""
    console = Console()
    when = f"opened on {found.opened}" + (", and not again" if found.before else "")
    rows: dict[str, dict[str, str]] = {}
    for name, metric, value in as_rows(found):
        rows.setdefault(name, {})[metric] = value
    metrics = list(next(iter(rows.values())))
    table = _table("", *metrics, title=f"{space.file.name}: test split, {when}")
    for name, measured in rows.items():
        table.add_row(name, *(measured[metric] for metric in metrics))
    console.print(table)
    if found.verdicts:
        console.print(_verdict_table(space, found.verdicts))


def _brief(value: Any) -> str:
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def print_study(space: Space, study: optuna.Study, found: dict[str, Comparison], seconds: float) -> None:
    """Best trials or arms, importances, failures and vetoes, and the commands that show more."""
    console = Console()
    trials = [t for t in study.get_trials(deepcopy=False) if is_settled(t)]
    done = best_first(space, study)
    if done:
        console.print(_best_table(space, study, done))
    if found:
        console.print(_verdict_table(space, found))
        for name, comparison in found.items():
            console.print(f"  {name}: {comparison.sentence}", highlight=False, soft_wrap=True)
    for name, what in without_verdict(space, study).items():
        console.print(f"  {name}: no verdict; {what}", highlight=False, soft_wrap=True)
    if not found and len(space.file.objectives) == 1 and len(done) > 3 and not space.file.arms:
        with warnings.catch_warnings(record=True) as doubts:
            importances = optuna.importance.get_param_importances(study)
        title = "parameter importances (PED-ANOVA" + (", from too few trials to trust)" if doubts else ")")
        table = Table("field", "importance", title=title, box=None)
        for name, value in importances.items():
            table.add_row(name, f"{value:.2f}")
        console.print(table)
    for line in _rungs(space, trials):
        console.print(line, highlight=False, soft_wrap=True)
    outcomes = Counter(str(t.user_attrs.get(OUTCOME, t.state.name.lower())) for t in trials)
    console.print(
        f"{len(trials)} trials in {seconds:.0f} s: " + ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items())
    )
    for line in (*_ends(trials), *_violations(study)):
        console.print(line, highlight=False, soft_wrap=True)
    if space.file.space and space.file.arms:
        console.print("no verdicts: arms beside a space are one more field that varies", highlight=False)
    if not done:
        console.print("no trial was trained to its end and meets its constraints", highlight=False)
    else:
        seed = next(iter(sorted((space.folder / done[0].user_attrs[FOLDER]).glob("seed-*"))), None)
        console.print(f"best:   mythos depth {_shown(seed)}", highlight=False, soft_wrap=True)
    console.print(f"card:   {_shown(space.folder / 'card.md')}", highlight=False, soft_wrap=True)
    console.print("more:   mythos ui", highlight=False)
    if _takes_more(space, len(trials)):
        again = f"again:  mythos study {_called(space.source)} --trials {len(trials) + _NUM_MORE}"
        console.print(again, highlight=False, soft_wrap=True)


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


def _ends(trials: list[FrozenTrial]) -> list[str]:
    """What was not trained to its end, and why; the same reason once, with the trials that share it."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for trial in trials:
        if trial.user_attrs.get(OUTCOME) in LEFT_OUT:
            reason = str(trial.user_attrs.get(REASON, "")).splitlines()[:1]
            said = "".join(reason).partition(f"trial {trial.number}: ")
            key = str(trial.user_attrs[OUTCOME]), said[2] or said[0]
            reasons.setdefault(key, []).append(trial.number)
    return [
        f"  trial{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))} {outcome}: {reason}"
        for (outcome, reason), numbers in reasons.items()
    ]


def _violations(study: optuna.Study) -> list[str]:
    """What was trained to its end and is no candidate all the same; trials that violate the same in one line."""
    numbers: dict[str, list[int]] = {}
    for number, texts in violated(study).items():
        numbers.setdefault(", ".join(texts), []).append(number)
    return [
        f"  trial{'s' * (len(n) > 1)} {', '.join(map(str, n))} trained, but violate{'s' * (len(n) == 1)} {texts}"
        for texts, n in numbers.items()
    ]


def _best_table(space: Space, study: optuna.Study, done: list[FrozenTrial]) -> Table:
    objectives = list(space.file.objectives)
    names = sorted({name for t in done for name in t.params})
    front = on_front(space, study)
    short = {name: name.removeprefix("training.").removeprefix("model.").removeprefix("core.") for name in names}
    title = (
        "arms" if space.file.arms else "best trials" + f" by {objectives[0]}; * on the front" * (len(objectives) > 1)
    )
    shown = ["trial", *objectives, *(["cost/params"] if "cost/params" not in objectives else []), *short.values()]
    table = _table(*shown, title=title)
    for trial in done if space.file.arms else done[:_NUM_SHOWN]:
        means = [shown_mean(values) for values in values_by_seed(trial, objectives)]
        params = [f"{trial.user_attrs.get('cost/params', 0):,.0f}"] if "cost/params" not in objectives else []
        number = f"{trial.number}{'*' * (trial.number in front)}"
        table.add_row(number, *means, *params, *(_short(trial.params.get(name)) for name in names))
    return table


def _table(*columns: str, title: str) -> Table:
    """A table of which a narrow terminal loses nothing: what does not fit goes on below."""
    table = Table(title=title, box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _verdict_table(space: Space, found: dict[str, Comparison]) -> Table:
    metric, first = next(iter(found.values())).metric, next(iter(space.file.arms))
    title = f"{metric} against {first}, {next(iter(found.values())).verdict.num_seeds} paired seeds"
    table = _table("arm", "difference", "95 % interval", "p (Holm)", "verdict", "also differs in", title=title)
    for name, comparison in found.items():
        v = comparison.verdict
        interval = f"{v.low:+.3g} to {v.high:+.3g}"
        others = ", ".join(comparison.undeclared)
        table.add_row(name, f"{v.difference:+.3g}", interval, f"{v.p_adjusted:.2g}", v.outcome, others)
    return table


def _called(source: Path) -> str:
    """What a user calls a space: the name of one of ours, or the file."""
    return source.stem if source.parent == data_dir("search_spaces") else str(_shown(source))


def _shown(path: Path | None) -> Path | None:
    return path if path is None or not path.is_relative_to(Path.cwd()) else path.relative_to(Path.cwd())


def _short(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
