"""The notes of trials, in the form in which Optuna's dashboard reads them.

That is the form of ``optuna_dashboard/_note.py`` of 0.21: a version and a text in parts, system attributes of the study
that have the trial's id in their names. The dashboard is a program of its own, which nothing here needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

MOST = 1_000
"""Trials of a study that have notes and files, the first ones.

For each trial the dashboard looks through the notes of all: 0.4 s of a processor for a thousand of them, 2 s for two
thousand, 15 s for five thousand, with every look at the study.
"""

_LONGEST = 2045  # characters in an attribute
_NAME = re.compile(r"dashboard:(\d+):(note_ver|note_str:\d+)")


def save_note(study: optuna.Study, trial: FrozenTrial, text: str) -> None:
    """Save a trial's first note, in Markdown; whoever works with the dashboard may change it there."""
    storage, prefix = study._storage, f"dashboard:{trial._trial_id}:"
    for n, start in enumerate(range(0, len(text), _LONGEST)):
        storage.set_study_system_attr(study._study_id, f"{prefix}note_str:{n}", text[start : start + _LONGEST])
    storage.set_study_system_attr(study._study_id, f"{prefix}note_ver", 1)


def copy_notes(study: optuna.Study, other: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
    """Have another study's trials, which are the same in the same order, bear the notes of a study's ``trials``."""
    new = dict(zip((t._trial_id for t in trials), (t._trial_id for t in other.get_trials(deepcopy=False)), strict=True))
    for name, value in study._storage.get_study_system_attrs(study._study_id).items():
        if (found := _NAME.fullmatch(name)) and int(found[1]) in new:
            name = f"dashboard:{new[int(found[1])]}:{found[2]}"
            other._storage.set_study_system_attr(other._study_id, name, value)
