"""Where the processes that train one model together are, and on which devices."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from mythos_lab.recipe.errors import Misplaced, RecipeError
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.training.fabric_alone import ClusterEnvironment, SLURMEnvironment


class Place(ClusterEnvironment):
    """A rank as Fabric wants to be told of it: the processes exist, and know each other."""

    def __init__(self, rank: Rank) -> None:
        self.rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        raise AssertionError("the ranks have met already")

    @property
    def main_port(self) -> int:
        raise AssertionError("the ranks have met already")

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.rank.num

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self.rank.index

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self.rank.local

    def node_rank(self) -> int:
        return self.rank.index // self.rank.num_local


def device_type(recipe: Recipe) -> str:
    """``cuda``, ``mps`` or ``cpu``: where Lightning's accelerator of the recipe computes."""
    asked = recipe.training.accelerator
    if asked in ("auto", "gpu") and torch.cuda.is_available():
        return "cuda"
    if asked in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def device_of(recipe: Recipe, local: int) -> torch.device:
    """The device of a rank."""
    return torch.device("cuda", local) if device_type(recipe) == "cuda" else torch.device("cpu")


@dataclass(frozen=True)
class Meeting:
    """Where ranks that others have started find each other.

    Attributes:
        rank: This process's place.
        address: The machine of rank 0.
        port: Where rank 0 waits there.
    """

    rank: Rank
    address: str
    port: int


def declared(recipe: Recipe) -> Meeting | None:
    """What torchrun or srun has told this process of its place; ``None`` where it was started alone.

    A task of srun whose recipe declares one device is alone: it may be one of many workers.

    Raises:
        RecipeError: They started another number of processes than the recipe declares devices.
    """
    told, num_devices = os.environ, recipe.training.num_devices
    if "TORCHELASTIC_RUN_ID" in told:
        launcher, num, num_local = "torchrun", int(told["WORLD_SIZE"]), int(told["LOCAL_WORLD_SIZE"])
        index, local = int(told["RANK"]), int(told["LOCAL_RANK"])
        address, port = told["MASTER_ADDR"], int(told["MASTER_PORT"])
    elif num_devices > 1 and int(told.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        launcher, num = "srun", int(told["SLURM_STEP_NUM_TASKS"])
        index, local, num_local = (
            int(told["SLURM_PROCID"]),
            int(told["SLURM_LOCALID"]),
            num // int(told["SLURM_STEP_NUM_NODES"]),
        )
        address = told.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(told["SLURM_STEP_NODELIST"])
        # The same number for all tasks of a step, and another one for the steps beside it.
        step = int(told["SLURM_JOB_ID"]) * 1000 + int(told["SLURM_STEP_ID"])
        port = int(told.get("MASTER_PORT") or 15000 + step % 15000)
    else:
        return None
    if num != num_devices:
        raise RecipeError(
            f"{recipe.name}: training.num_devices={num_devices}, and {launcher} started {num} processes; "
            f"set training.num_devices={num}"
        )
    return Meeting(Rank(index, num, local, num_local, device_of(recipe, local)), address, port) if num > 1 else None


def check_devices(recipe: Recipe) -> None:
    """Refuse devices that this machine does not have.

    Raises:
        Misplaced: There is no GPU, or fewer than declared, or the accelerator knows only one device; or layers are to
            be compiled for CPUs, and there is no compiler.
    """
    num, where = recipe.training.num_devices, device_type(recipe)
    if recipe.training.compile and where == "cpu":
        _check_compiler(recipe)
    if recipe.training.accelerator not in ("auto", "cpu") and where == "cpu":
        asked = recipe.training.accelerator
        raise Misplaced(f"{recipe.name}: training.accelerator={asked}, and torch finds none here; auto takes what is")
    if num == 1:
        return
    if where == "mps":
        raise Misplaced(f"{recipe.name}: training.num_devices={num}: mps is one device; set training.accelerator=cpu")
    if where == "cuda" and num > torch.cuda.device_count() and declared(recipe) is None:
        raise Misplaced(
            f"{recipe.name}: training.num_devices={num}, and this machine has {torch.cuda.device_count()} GPUs"
        )


def _check_compiler(recipe: Recipe) -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler  # which takes seconds, and is needed then
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise Misplaced(
            f"{recipe.name}: training.compile: torch compiles for CPUs by a C++ compiler, and finds none here (g++, or "
            "what CXX names); set training.compile=false"
        ) from None
