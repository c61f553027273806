"""The training step as a ``LightningModule``, for people who bring their own Trainer and callbacks."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from mythos_blocks import LoopedTransformer
from mythos_lab.recipe.average import Average
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner, Loss, average_of, begin, optimizer_of, step
from mythos_lab.tasks.base import Batch
from mythos_lab.training.assembly import assemble
from mythos_lab.training.compiled import CompiledLayers
from mythos_lab.training.data import TrainingBatches

_AVERAGE = "average"


class LoopedModule(L.LightningModule):
    """A recipe's model and task, with the step, the batches and the loop counts with which ``run`` trains.

    Clipping, precision and schedule are the recipe's; the Trainer adds none of its own. It says how many steps
    are run, on which device. Validation, checkpoints, logging and an early end are for its callbacks and loggers.

    Args:
        recipe: The validated recipe. Its ``num_devices`` must be 1.

    Attributes:
        model: The model that learns.
        average: The moving average of its weights, which ``run`` evaluates and saves, where the recipe declares one.
        task: The task, for callbacks that evaluate.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        if recipe.training.num_devices > 1:
            raise ValueError(
                f"training.num_devices={recipe.training.num_devices}: a Trainer's module trains on 1 device; "
                "mythos_lab.training.run.run shares batches between several"
            )
        if recipe.training.start_with == "everything":
            raise ValueError(
                "training.start_with=everything: a Trainer goes on from a checkpoint of its own (ckpt_path), and "
                "starts with weights alone; mythos_lab.training.run.run goes on from a run"
            )
        self.automatic_optimization = False  # the step does all of it
        self.recipe = recipe
        model, self.task = assemble(recipe)
        self.loss, self.rank = Loss(recipe, model), Rank()
        self.average: Average | None = None
        self._compiled: CompiledLayers | None = None
        self._averaged: dict[str, Any] | None = None  # of a checkpoint, until the parameters are where they stay

    @property
    def model(self) -> LoopedTransformer:
        return self.loss.model

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[torch.optim.lr_scheduler.LRScheduler]]:
        optimizer, schedule = optimizer_of(self.recipe, self.model)
        self.average = average_of(self.recipe, self.model)
        self._compiled = CompiledLayers(self.model) if self.recipe.training.compile else None
        if self.average is not None and self._averaged is not None:
            self.average.load_state_dict(self._averaged)
        return [optimizer], [schedule]

    def train_dataloader(self) -> DataLoader[Batch]:
        training = self.recipe.training
        batches = TrainingBatches(self.task, training, self.global_step, Rank())
        return DataLoader(batches, batch_size=None)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        learner = Learner(self.recipe, self.model, self.loss, optimizer, schedule, self.average, self.rank)
        if self._compiled is not None:
            learner.running = self._compiled.running
        index = self.global_step  # which Lightning raises within the step
        shows = index % self.recipe.training.log_every == 0
        iterations = begin(learner, index, batch)
        numbers = step(learner, batch, iterations, shows=shows, backward=self.manual_backward)
        self.log_dict(numbers if self._compiled is None or not shows else {**numbers, **self._compiled.metrics()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.average is not None:
            checkpoint[_AVERAGE] = self.average.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._averaged = checkpoint.get(_AVERAGE)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)
