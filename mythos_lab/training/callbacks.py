"""What happens around training steps: validation, checkpoints and stops, and the progress bar."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from mythos_lab.measures.evaluate import Scores
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.training.endings import Stopped
from mythos_lab.training.module import TrainingModule

OnValidation = Callable[[int, Scores], None]
"""Called with the step and the scores after every validation; raises to stop the run."""

ShouldStop = Callable[[], bool]
"""Asked after every step whether the run is to stop there."""


class Milestones(L.Callback):
    """Every ``validate_every`` steps, and at the end: validate, save a checkpoint, send metrics.

    Where ``should_stop`` says so after a step, save and send at that step, and raise :class:`Stopped`. The metrics go
    after the checkpoint that covers them, so a resumed run does not log a step twice.
    """

    def __init__(
        self,
        checkpoint: Path,
        tracker: Tracker,
        on_validation: OnValidation | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        self.checkpoint, self.tracker = checkpoint, tracker
        self.on_validation, self.should_stop = on_validation, should_stop
        self._handler: Any = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        # Lightning adds a handler that ends the run wherever it is. A caller that handles the signal is left to it.
        if self._handler not in (None, signal.SIG_DFL) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, TrainingModule)
        training = pl_module.recipe.training
        step = trainer.global_step
        due = step % training.validate_every == 0 or step == training.max_steps
        if due:
            scores = pl_module.validate_now()
            self._keep(trainer, pl_module)
            if self.on_validation is not None:
                self.on_validation(step, scores)
        if self.should_stop is not None and self.should_stop():
            if not due:
                self._keep(trainer, pl_module)
            raise Stopped(self.checkpoint.parent, step)

    def _keep(self, trainer: L.Trainer, module: TrainingModule) -> None:
        # Written beside and moved, so that a kill leaves the last whole checkpoint.
        partial = self.checkpoint.with_suffix(".partial")
        trainer.save_checkpoint(partial, weights_only=False)
        partial.replace(self.checkpoint)
        self.send(module)

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
