"""What a settled study came to: verdicts, the table on the terminal, the card."""

from __future__ import annotations

from pathlib import Path

import optuna

from mythos_lab.comparison.arms import verdicts
from mythos_lab.comparison.card import write_card
from mythos_lab.comparison.table import print_study
from mythos_lab.search.spaces.space import Space


def conclude(space: Space, study: optuna.Study, seconds: float) -> list[Path]:
    """Print what came out and write the study's card; returns the files written."""
    found = verdicts(space, study)
    print_study(space, study, found, seconds)
    return write_card(space, study, found)


def recorded(space: Space, study: optuna.Study, seconds: float) -> list[Path]:
    """Write the study's card and print nothing: whoever asks for this has a better form for what came out."""
    return write_card(space, study, verdicts(space, study))
