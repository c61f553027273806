"""A trial's note: in words, what it was, what it came to and where its runs are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.search.attributes import FOLDER, OUTCOME, REASON, REPEATS, RUNS, VALUES
from mythos_lab.search.notes import MOST, save_note
from mythos_lab.search.spaces.chosen import by_position, chosen
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.trial_folder import first_run
from mythos_lab.training.result import read_result


def note(space: Space, study: optuna.Study, trial: optuna.Trial) -> None:
    """Save what there is to say of a trial that has ended."""
    ended = study._storage.get_trial(trial._trial_id)
    if ended.number < MOST and ended.state.is_finished() and OUTCOME in ended.user_attrs:
        save_note(study, ended, note_text(space, ended))


def note_text(space: Space, trial: FrozenTrial) -> str:
    """The note, in Markdown; the same of two studies that came to the same."""
    attrs, choices = trial.user_attrs, by_position(space.domains)
    folder = None if REPEATS in attrs else first_run(space, trial)
    result = read_result(folder) if folder is not None else {}
    lines = [f"**{attrs[OUTCOME]}**{': ' * (REASON in attrs)}{in_text(attrs.get(REASON, ''))}", ""]
    if REPEATS in attrs:
        lines.append(f"- the same candidate as trial {attrs[REPEATS]}, which was trained")
    for objective, value in zip(space.file.objectives, trial.values or (), strict=False):
        by_seed = attrs.get(VALUES, {}).get(objective, [])
        lines.append(f"- {as_code(objective)}: {value:.4g}{_uncertainty(by_seed, result, objective)}")
    for name in sorted(trial.params):
        lines.append(f"- {as_code(name)}: {as_code(_shown(chosen(trial.params, name, choices)))}")
    if curve := result.get("depth_curve"):
        quality = "loss" if result["chance"] is None else "accuracy"
        at = ", ".join(f"{row['loops']}: {row[quality]:.3g}" for row in curve if row[quality] is not None)
        lines.append(f"- {quality} by loops: {at}")
    if runs := attrs.get(RUNS):
        lines.append(f"- run: {as_code(f'studies/{space.file.name}/{attrs[FOLDER]}')}")
        lines.append(f"- in MLflow: {', '.join(map(as_code, runs))}")
    return "\n".join(lines)


def _uncertainty(by_seed: Sequence[float | None], result: Mapping[str, Any], objective: str) -> str:
    """How sure a value is: those of the seeds whose mean it is; of one seed, the interval over samples."""
    if len(by_seed) > 1:
        return f", the mean of {', '.join('none' if value is None else f'{value:.4g}' for value in by_seed)} by seed"
    low, high = result.get("intervals", {}).get(objective) or (None, None)
    return "" if low is None or high is None else f", 95 % interval over samples {low:.4g} to {high:.4g}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
