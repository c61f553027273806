"""One of the ranks that rank 0 starts: it trains its share of every batch, and leaves all else to rank 0.

``python -m mythos_lab.training.follower FOLDER INDEX MEETING READY resumed|new DEVICES``, all of which rank 0 says.
"""

from __future__ import annotations

from mythos_lab.loading import begin_loading

if __name__ == "__main__":  # before all that takes long to load
    begin_loading()

import json
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mythos_blocks import load_plugins
from mythos_lab.recipe import Recipe
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.screen import say
from mythos_lab.training.assembly import assemble
from mythos_lab.training.devices import Meeting
from mythos_lab.training.held import hold_alike
from mythos_lab.training.launch import follows, follows_declared
from mythos_lab.training.loop import fit
from mythos_lab.training.other_devices import with_fields
from mythos_lab.training.result import CHECKPOINT, read_recipe
from mythos_lab.training.start import goes_on_from
from mythos_lab.training.state import Training
from mythos_lab.training.stop_reasons import Diverged, Stopped


def follow(training: Training, rank: Rank, folder: Path, resumed: bool) -> None:
    """Train with rank 0 until it is done."""
    training.rank = rank
    try:
        hold_alike(training.recipe, training.task, rank)
        fit(
            training,
            folder / CHECKPOINT,
            resumed=resumed,
            lead=None,
            start=goes_on_from(training.recipe, resumed=resumed),
        )
    except (Diverged, Misplaced, Stopped):  # of which rank 0 tells
        pass


def follow_declared(recipe: Recipe, meeting: Meeting) -> NoReturn:
    """The same for a process that torchrun or srun has started; then it exits."""
    with follows_declared(recipe, meeting) as (folder, resumed):
        training = Training(recipe, *assemble(recipe, started=not resumed))
        follow(training, meeting.rank, folder, resumed)
    sys.exit(0)


def main(folder: Path, index: int, meeting: Path, descriptor: int, resumed: bool, devices: Mapping[str, Any]) -> None:
    """Train as rank ``index`` of the run in a folder, which may have begun with other devices than it goes on with."""
    load_plugins()
    recipe = with_fields(read_recipe(folder), devices)
    training = Training(recipe, *assemble(recipe, started=not resumed))
    with follows(recipe, index, meeting, descriptor) as rank:
        follow(training, rank, folder, resumed)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    where, index, meeting, descriptor, what, devices = sys.argv[1:]
    try:
        main(Path(where), int(index), Path(meeting), int(descriptor), what == "resumed", json.loads(devices))
    except Exception:
        say(traceback.format_exc(), end="", file=sys.stderr)
        sys.exit(1)
