"""Lightning's Fabric, told where a recipe trains and how devices share the model."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from torch.distributed.device_mesh import DeviceMesh

from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner, Loss, average_of, optimizer_of
from mythos_lab.training.compiled import CompiledLayers
from mythos_lab.training.devices import Place
from mythos_lab.training.fabric_alone import DDPStrategy, Fabric, ModelParallelStrategy
from mythos_lab.training.sharding import shard
from mythos_lab.training.state import Training


def fabric_of(recipe: Recipe, rank: Rank) -> Fabric:
    """A launched Fabric on the devices that a recipe declares, for one of the ranks, which have met already."""
    _quiet()
    fabric = Fabric(
        accelerator=recipe.training.accelerator,
        devices=rank.num_local,
        num_nodes=rank.num // rank.num_local,
        strategy=_strategy(recipe, rank),
        plugins=[Place(rank)],
    )
    fabric.launch()
    return fabric


def learner_of(fabric: Fabric, training: Training) -> Learner:
    """The model of a training, on its devices, with an optimiser at its first step."""
    recipe, rank = training.recipe, training.rank
    if recipe.training.shared_by == "fsdp2" or recipe.training.ema is not None:
        training.part()
    model = training.model
    loss = fabric.setup_module(Loss(recipe, model))
    optimizer, schedule = optimizer_of(recipe, model)  # now that the parameters are where they stay
    optimizer = fabric.setup_optimizers(optimizer)  # type: ignore[assignment]
    model.train()
    learner = Learner(recipe, model, loss, optimizer, schedule, average_of(recipe, model), rank)
    if rank.num > 1:
        learner.unsynced = lambda: fabric.no_backward_sync(loss)
    if recipe.training.compile:
        training.compiled = CompiledLayers(model)
        learner.running = training.compiled.running
    return learner


def _strategy(recipe: Recipe, rank: Rank) -> Any:
    shared_by = recipe.training.shared_by
    if shared_by is None:
        return "auto"
    if shared_by == "fsdp2":
        # One file, as every other strategy writes and reads.
        return ModelParallelStrategy(_spread, rank.num, tensor_parallel_size=1, save_distributed_checkpoint=False)
    # A step may leave parameters out: a loop's later iterations, an expert. Buffers are the same on all ranks already.
    return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)


def _spread(loss: Loss, mesh: DeviceMesh) -> Loss:
    shard(loss.model, mesh["data_parallel"])
    return loss


def _quiet() -> None:
    for name in ("lightning_fabric.utilities.rank_zero", "lightning_fabric.utilities.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
