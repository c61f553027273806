"""A connection to a Ray cluster, or a Ray of one's own, and what can be asked of either."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import ray
from pydantic import Field, TypeAdapter, ValidationError

from mythos_lab.children import environment
from mythos_lab.recipe.errors import RecipeError, shortened
from mythos_lab.search.engines.carrying import packed
from mythos_lab.search.spaces.space import Space

_RESOURCES = TypeAdapter(dict[str, Annotated[float, Field(gt=0, lt=1e9)]])
_LOOPBACK = "127.0.0.1"


def connect(address: str | None, carried: Space | None = None) -> bool:
    """Connect to a cluster, or start one on this machine; whether it was started.

    Args:
        address: Of the cluster; ``None`` takes that of ``RAY_ADDRESS``, or starts one.
        carried: The search space whose working directory Ray brings to the cluster's machines.
    """
    if ray.is_initialized():
        return False
    # Ray tells its makers of every use of a cluster that it starts. A laboratory asks before it does so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise RecipeError(
            f"--ray-address {address}: Ray's client cannot hear of trials that begin; expected host:port, "
            "or auto on one of the cluster's machines"
        )
    # A Ray of its own serves this machine alone; without an address of its node it listens on all of them.
    own: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": _LOOPBACK} if address == "local" else {}
    try:
        with ExitStack() as stack:
            if carried is not None:
                own["runtime_env"] = {"working_dir": str(stack.enter_context(packed(carried)))}
            stack.enter_context(_standing_nowhere())
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise RecipeError(f"--ray-address {address}: {' '.join(str(error).split())[:200]}") from None
    return address == "local"


@contextmanager
def _standing_nowhere() -> Iterator[None]:
    """Ray puts the directory in which it connects before what workers import from; within it, that is the root.

    Tasks go to the study's directory themselves, and nothing but a recipe's ``imports`` is looked for there.
    """
    here = Path.cwd()
    os.environ.update(environment())
    os.chdir(here.root)
    try:
        yield
    finally:
        os.chdir(here)


def check_fits(wanted: Mapping[str, float]) -> None:
    """Refuse a trial that needs more than the cluster has in all; errors are of the option that says so."""
    has, options = ray.cluster_resources(), {"CPU": "--cpus-per-trial", "GPU": "--gpus-per-trial"}
    for kind, num in wanted.items():
        if num > has.get(kind, 0):
            option = options.get(kind, f"--resources {kind}")
            raise RecipeError(f"{option}: a trial needs {num:g}, and this machine has {has.get(kind, 0):g}")


def read_resources(text: str) -> dict[str, float]:
    """Ray's custom resources, from JSON.

    Raises:
        RecipeError: It is none, or names what has an option of its own.
    """
    try:
        read = _RESOURCES.validate_json(text)
    except ValidationError:
        raise RecipeError(f'--resources {shortened(text)}: expected amounts by name, such as {{"a100": 1}}') from None
    for name, option in (("CPU", "--cpus-per-trial"), ("GPU", "--gpus-per-trial")):
        if name in read:
            raise RecipeError(f"--resources {name}: {option} says that")
    return read


def check_carried(space: Space) -> None:
    """Refuse to bring a working directory to machines that would not reach the study, or each other's runs."""
    if space.artifacts is None:
        raise RecipeError(
            "--carry: machines that share no folder keep their runs where all reach them: name --artifacts"
        )
    if space.storage is None:
        raise RecipeError("--carry: machines that share no folder need a --storage that all reach")
    if ray.is_initialized():
        raise RecipeError("--carry: this process is connected to Ray already, which then brings nothing")
