"""Runs of a study whose machines share no folder: a verb that reads one brings it first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Kept = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        envvar="MYTHOS_ARTIFACTS",
        help="Where the run's study keeps its runs, if this one is not here: a path, or a URL such as "
        "s3://bucket/folder.",
    ),
]
"""Of every verb that opens a finished run."""


def bring(run: Path | str, place: str | None) -> None:
    """Bring a run that is kept elsewhere; does nothing where no place is named, or the run is here."""
    if place:
        from mythos_lab.search.artifacts import bring_run

        bring_run(Path(run), place)
