"""What a study came to, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from mythos_lab.search.compare import Comparison
from mythos_lab.search.ledger import FOLDER, OUTCOME, REASON, is_settled, study_folder
from mythos_lab.search.match import Match
from mythos_lab.search.space import Space

_NUM_SHOWN = 8


def print_match(found: Match, written: Path | None) -> None:
    """The counterpart's sizes and budgets against the original's."""
    console = Console()
    table = Table("", "original", "counterpart", "mismatch", title=found.recipe.name, box=None)
    for name, (a, b, miss) in found.held.items():
        table.add_row(name, f"{a:,.0f}", f"{b:,.0f}", f"{miss:+.2%}")
    for path, (before, after) in found.varied.items():
        table.add_row(path, str(before), str(after), "")
    table.add_row("model.core.depth", "", str(found.recipe.model_dump(mode="json")["model"]["core"]["depth"]), "")
    console.print(table)
    if written is not None:
        console.print(f"written: {written}   train: mythos train {written}", highlight=False, soft_wrap=True)


def print_comparison(found: Comparison) -> None:
    """What went in and differs, each seed's values, and the finding."""
    console = Console()
    table = Table("input", "A", "B", "", title="what differs", box=None)
    for name, (a, b) in found.unequal.items():
        table.add_row(name, _brief(a), _brief(b), "undeclared" if name in found.undeclared else "declared")
    console.print(table if found.unequal else "the arms do not differ in anything that went in")
    table = Table("seed", "A", "B", "B - A", title=found.metric, box=None)
    for seed in sorted(set(found.a.metrics) & set(found.b.metrics)):
        a, b = (arm.metrics[seed][found.metric] for arm in (found.a, found.b))
        table.add_row(str(seed), f"{a:.4g}", f"{b:.4g}", f"{b - a:+.4g}")
    console.print(table)
    console.print(found.sentence, highlight=False)


def _brief(value: Any) -> str:
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def print_study(space: Space, study: optuna.Study, seconds: float) -> None:
    """Best trials, importances, failures and vetoes, and the commands that show more."""
    console = Console()
    trials = [t for t in study.get_trials(deepcopy=False) if is_settled(t)]
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    objectives = list(space.file.objectives)
    if complete:
        console.print(_best_table(space, complete))
    if len(objectives) == 1 and len(complete) > 3:
        importances = optuna.importance.get_param_importances(study)
        table = Table("field", "importance", title="parameter importances (PED-ANOVA)", box=None)
        for name, value in importances.items():
            table.add_row(name, f"{value:.2f}")
        console.print(table)
    outcomes = Counter(str(t.user_attrs.get(OUTCOME, t.state.name.lower())) for t in trials)
    console.print(
        f"{len(trials)} trials in {seconds:.0f} s: " + ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items())
    )
    for trial in trials:
        if trial.user_attrs.get(OUTCOME) in ("vetoed", "diverged", "failed"):
            console.print(
                f"  trial {trial.number} {trial.user_attrs[OUTCOME]}: {trial.user_attrs.get(REASON, '')}",
                highlight=False,
                soft_wrap=True,
            )
    if complete:
        best = sorted(complete, key=_order(space))[0]
        console.print(
            f"best:   mythos depth {study_folder(space) / best.user_attrs[FOLDER]}", highlight=False, soft_wrap=True
        )
    console.print(
        f"more:   mythos ui\nagain:  mythos study {space.source.stem} --trials {len(trials) + 10}",
        highlight=False,
        soft_wrap=True,
    )


def _best_table(space: Space, complete: list[FrozenTrial]) -> Table:
    objectives = list(space.file.objectives)
    names = sorted({name for t in complete for name in t.params})
    short = {name: name.removeprefix("model.").removeprefix("core.") for name in names}
    table = Table("trial", *objectives, "cost/params", *short.values(), title="best trials", box=None)
    for trial in sorted(complete, key=_order(space))[:_NUM_SHOWN]:
        row = [str(trial.number), *(f"{v:.4g}" for v in trial.values), f"{trial.user_attrs.get('cost/params', 0):,.0f}"]
        table.add_row(*row, *(_short(trial.params.get(name)) for name in names))
    return table


def _order(space: Space) -> Callable[[FrozenTrial], float]:
    sign = -1 if next(iter(space.file.objectives.values())) == "maximize" else 1
    return lambda trial: sign * trial.values[0]


def _short(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
