"""Training proper: Lightning, told what a recipe says."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch.utils.data import DataLoader

from mythos_lab.training.data import TrainingBatches, first_step_of
from mythos_lab.training.module import TrainingModule
from mythos_lab.training.ranks import Place


def fit(module: TrainingModule, callbacks: list[L.Callback], checkpoint: Path | None) -> None:
    """Train from a checkpoint, or from the beginning, to the last step, as the module's rank.

    Args:
        module: What is trained.
        callbacks: What happens around the steps.
        checkpoint: Where training goes on.
    """
    training, rank = module.recipe.training, module.rank
    _quiet()
    progress = any(isinstance(callback, L.pytorch.callbacks.ProgressBar) for callback in callbacks)
    trainer = L.Trainer(
        max_steps=training.max_steps,
        max_epochs=1,
        accelerator=training.accelerator,
        devices=rank.num_local,
        num_nodes=rank.num // rank.num_local,
        strategy=_strategy(module),
        plugins=[Place(rank)],
        callbacks=callbacks,
        enable_progress_bar=progress,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )
    first_step = 0 if checkpoint is None else first_step_of(checkpoint)
    batches = TrainingBatches(module.task, training.batch_size, training.max_steps, first_step, rank)
    try:
        trainer.fit(
            module.train(),
            DataLoader(batches, batch_size=None),
            ckpt_path=None if checkpoint is None else str(checkpoint),
            weights_only=True,
        )
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error


def _strategy(module: TrainingModule) -> Any:
    shared_by = module.recipe.training.shared_by
    if shared_by is None:
        return "auto"
    if shared_by == "fsdp2":
        # One file, as every other strategy writes and reads.
        return ModelParallelStrategy(module.rank.num, tensor_parallel_size=1, save_distributed_checkpoint=False)
    # A step may leave parameters out: a loop's later iterations, an expert. Buffers are the same on all ranks already.
    return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)


def _quiet() -> None:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
