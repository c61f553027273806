"""The training step as a ``LightningModule``, for people who bring their own Trainer and callbacks."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from mythos_blocks import LoopedTransformer
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner, Loss, begin, optimizer_of, step
from mythos_lab.tasks.base import Batch
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import TrainingBatches


class LoopedModule(L.LightningModule):
    """A recipe's model and task, with the step, the batches and the loop counts with which ``run`` trains.

    Clipping, precision and schedule are the recipe's; the Trainer adds none of its own. It says how many steps
    are run, on which device. Validation, checkpoints and logging are for its callbacks and loggers.

    Args:
        recipe: The validated recipe. Its ``num_devices`` must be 1.

    Attributes:
        model: The model.
        task: The task, for callbacks that evaluate.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        if recipe.training.num_devices > 1:
            raise ValueError(
                f"training.num_devices={recipe.training.num_devices}: a Trainer's module trains on 1 device; "
                "mythos_lab.training.run.run shares batches between several"
            )
        self.automatic_optimization = False  # the step does all of it
        self.recipe = recipe
        model, self.task = assemble(recipe)
        self.loss = Loss(recipe, model, Rank())

    @property
    def model(self) -> LoopedTransformer:
        return self.loss.model

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[torch.optim.lr_scheduler.LRScheduler]]:
        optimizer, schedule = optimizer_of(self.recipe, self.model)
        return [optimizer], [schedule]

    def train_dataloader(self) -> DataLoader[Batch]:
        training = self.recipe.training
        batches = TrainingBatches(self.task, training.batch_size, training.max_steps, self.global_step, Rank())
        return DataLoader(batches, batch_size=None)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        learner = Learner(self.recipe, self.model, self.loss, optimizer, schedule, self.loss.rank)
        index = self.global_step  # which Lightning raises within the step
        shows = index % self.recipe.training.log_every == 0
        iterations = begin(learner, index, batch)
        self.log_dict(step(learner, batch, iterations, shows=shows, backward=self.manual_backward))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)
