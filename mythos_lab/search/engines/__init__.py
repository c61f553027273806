"""What places workers: processes on this machine, Ray on a cluster, SLURM through submitit."""

from __future__ import annotations

import importlib

from mythos_blocks.registry import suggest
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.engines.base import Engine as Engine
from mythos_lab.search.engines.base import Job as Job

ENGINES = {"local": "Local", "ray": "Ray", "slurm": "Slurm"}
"""Classes by engine; each stands in the module of the engine's name."""


def make_engine(kind: str, job: Job) -> Engine:
    """The engine of that name.

    Raises:
        RecipeError: There is none, or what it needs is not installed.
    """
    if kind not in ENGINES:
        raise RecipeError(f"--engine {kind}: {suggest(kind, ENGINES)}")
    try:
        module = importlib.import_module(f"mythos_lab.search.engines.{kind}")
    except ModuleNotFoundError as error:
        raise RecipeError(f"--engine {kind}: {error.name} is not installed; pip install 'mythos-lab[{kind}]'") from None
    engine: Engine = getattr(module, ENGINES[kind])(job)
    return engine
