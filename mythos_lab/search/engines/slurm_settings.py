"""What is said to SLURM by ``--slurm key=value``, in submitit's words or in sbatch's own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from submitit.slurm.slurm import SlurmExecutor

from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe.errors import RecipeError

_SHARED: dict[str, type] = {
    "name": str,
    "timeout_min": int,
    "mem_gb": float,
    "cpus_per_task": int,
    "gpus_per_node": int,
    "stderr_to_stdout": bool,
}
_LISTS = ("setup", "teardown", "srun_args")  # repeat them for more than one line
_ONE = ("nodes", "tasks_per_node", "ntasks_per_node")  # a worker is one process; it starts a trial's other ranks itself
FREE = "additional_parameters"  # whatever sbatch knows and submitit does not, behind this prefix
_OF_SBATCH = (
    "begin", "bb", "bbf", "container", "contiguous", "core_spec", "cores_per_socket", "cpu_freq", "deadline",
    "delay_boot", "export_file", "gpu_bind", "gpu_freq", "gpus", "gpus_per_socket", "hint", "kill_on_invalid_dep",
    "licenses", "mem_bind", "network", "nice", "no_kill", "overcommit", "oversubscribe", "prefer", "priority",
    "profile", "propagate", "reservation", "sockets_per_node", "switches", "thread_spec", "threads_per_core", "tmp",
    "tres_bind", "tres_per_task",
)  # fmt: skip
"""What sbatch takes beside what submitit knows, and a worker may be started with."""
CLUSTER = "cluster"


def read_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Parameters of submitit's ``AutoExecutor``, from ``key=value`` each.

    Keys are submitit's, or sbatch's own with their hyphens. Time is in minutes or as sbatch has it. Memory has a unit,
    or that of its key: MB of sbatch's ``mem``, GB of submitit's ``mem_gb``.

    Raises:
        RecipeError: A key that neither has, a value of another type, or one that no worker could use.
    """
    own = SlurmExecutor._valid_parameters() - {*_SHARED, *_ONE, "time", "mem", "job_name", "num_gpus", FREE}
    names = [*_SHARED, *own, *_OF_SBATCH, CLUSTER]
    free = f"slurm_{FREE}"
    read: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not value:
            raise RecipeError(f"--slurm {setting}: expected key=value, such as partition=gpu")
        if key.startswith(f"{FREE}."):
            read.setdefault(free, {})[key.removeprefix(f"{FREE}.")] = value
            continue
        name = key.removeprefix("slurm_").replace("-", "_")
        if name == "mem" and value.isdecimal():
            value += "M"
        name = {"time": "timeout_min", "mem": "mem_gb", "job_name": "name"}.get(name, name)
        if name in _ONE:
            if value != "1":
                raise RecipeError(f"--slurm {setting}: a worker is one process, which starts a trial's other ranks")
        elif name in _OF_SBATCH:
            read.setdefault(free, {})[name] = _plain(value)
        elif name not in names:
            raise RecipeError(f"--slurm {key}: {suggest(name, names)}")
        elif name == CLUSTER:
            if value not in ("slurm", "local"):
                raise RecipeError(f"--slurm {setting}: expected slurm or local")
            read[name] = value
        elif name in _LISTS:
            read.setdefault(f"slurm_{name}", []).append(value)
        elif name in _SHARED:
            read[name] = _typed(setting, _IN_UNITS.get(name, str)(value), _SHARED[name])
        else:
            read[f"slurm_{name}"] = _plain(value)
    return read


def _in_minutes(value: str) -> str:
    """A time as sbatch takes it, in whole minutes: 90, 90:00, 1:30:00, 0-1, 0-1:30 or 0-1:30:00."""
    if re.fullmatch(r"\d+(:\d+){1,2}|\d+-\d+(:\d+){0,2}", value) is None:
        return value
    days, dash, rest = value.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    seconds = 86_400 * int(days or 0) + sum(part * unit for part, unit in zip(parts, units, strict=False))
    return str(math.ceil(seconds / 60))


def _in_gigabytes(value: str) -> str:
    """Memory as sbatch takes it with a unit, in GB."""
    if (found := re.fullmatch(r"(\d+)([KMGT])B?", value, re.IGNORECASE)) is None:
        return value
    return str(int(found[1]) * 1024.0 ** ("KMGT".index(found[2].upper()) - 2))


_IN_UNITS: dict[str, Callable[[str], str]] = {"timeout_min": _in_minutes, "mem_gb": _in_gigabytes}


def _typed(setting: str, value: str, kind: type) -> Any:
    plain = _plain(value)
    if kind is str:
        return value
    if isinstance(plain, bool) != (kind is bool) or not isinstance(plain, (int, kind)):
        expected = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise RecipeError(f"--slurm {setting}: expected {expected}{' of minutes' * setting.startswith('time')}")
    return plain


def _plain(value: str) -> int | float | bool | str:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if re.fullmatch(r"\d+", value):
        return int(value)
    return float(value) if re.fullmatch(r"\d*\.\d+", value) else value
