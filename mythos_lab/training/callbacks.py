"""What happens around training steps: validation and checkpoints, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from mythos_lab.measures.evaluate import Scores
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.training.module import TrainingModule

OnValidation = Callable[[int, Scores], None]
"""Called with the step and the scores after every validation; raises to stop the run."""


class Milestones(L.Callback):
    """Every ``validate_every`` steps, and at the end: validate, save a checkpoint, send metrics.

    The metrics go after the checkpoint that covers them, so a resumed run does not log a step twice.
    """

    def __init__(self, checkpoint: Path, tracker: Tracker, on_validation: OnValidation | None) -> None:
        self.checkpoint, self.tracker, self.on_validation = checkpoint, tracker, on_validation

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, TrainingModule)
        training = pl_module.recipe.training
        step = trainer.global_step
        if step % training.validate_every and step != training.max_steps:
            return
        scores = pl_module.validate_now()
        # Written beside and moved, so that a kill leaves the last whole checkpoint.
        partial = self.checkpoint.with_suffix(".partial")
        trainer.save_checkpoint(partial, weights_only=False)
        partial.replace(self.checkpoint)
        self.send(pl_module)
        if self.on_validation is not None:
            self.on_validation(step, scores)

    def send(self, module: TrainingModule) -> None:
        """Send what has been recorded since the last time."""
        history, module.history = module.history, []
        for step, metrics in history:
            self.tracker.metrics(metrics, step)
        self.tracker.flush()


class Progress(RichProgressBar):
    """The progress bar, with loss, rho(A), loops and tokens per second."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        assert isinstance(pl_module, TrainingModule)
        metrics, shown = pl_module.metrics, {}
        for name, label, form in (
            ("train/loss", "loss", "{:.3f}"),
            ("stability/rho_A", "rho(A)", "{:.3f}"),
            ("train/num_loops", "loops", "{:.0f}"),
            ("speed/tokens_per_second", "tok/s", "{:.0f}"),
        ):
            if name in metrics:
                shown[label] = form.format(metrics[name])
        if pl_module.scores is not None:
            shown["val/accuracy"] = f"{pl_module.scores.accuracy:.3f}"
        return shown
