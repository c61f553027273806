"""What places workers: processes on this machine, Ray on a cluster, SLURM through submitit."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.engines.base import Engine as Engine
from mythos_lab.search.engines.base import Job as Job

ENGINES = {"local": "Local", "ray": "Ray", "slurm": "Slurm"}
"""Classes by engine; each stands in the module of the engine's name."""

_OPTIONS = {
    **dict.fromkeys(("ray_address", "cpus_per_trial", "gpus_per_trial", "resources", "carry"), "ray"),
    "slurm": "slurm",
}


def make_engine(kind: str, options: Mapping[str, Any]) -> Callable[[Job], Engine]:
    """The engine of that name, for whatever job.

    Args:
        kind: ``local``, ``ray`` or ``slurm``.
        options: Options of the engine's own, as the command line names them; those that are ``None`` were not given.

    Raises:
        RecipeError: There is none, what it needs is not there, or an option is not its own.
    """
    if kind not in ENGINES:
        raise RecipeError(f"--engine {kind}: {suggest(kind, ENGINES)}")
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if _OPTIONS[name] != kind:
            raise RecipeError(f"--{name.replace('_', '-')}: without --engine {_OPTIONS[name]} it has no effect")
    try:
        module = importlib.import_module(f"mythos_lab.search.engines.{kind}")
    except ModuleNotFoundError as error:
        raise RecipeError(f"--engine {kind}: {error.name} is not installed; pip install 'mythos-lab[{kind}]'") from None
    engine: type[Engine] = getattr(module, ENGINES[kind])
    engine.check(**given)
    return functools.partial(engine, **given)
