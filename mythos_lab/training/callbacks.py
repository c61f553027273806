"""What happens around training steps: validation, checkpoints and stops, and the progress bar."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from mythos_lab.measures.evaluate import Scores
from mythos_lab.training.endings import Stopped
from mythos_lab.training.module import TrainingModule
from mythos_lab.training.result import seal_checkpoint

if TYPE_CHECKING:
    from mythos_lab.tracking.mlflow import Tracker

# What rank 0 tells the others after every step.
_GO_ON, _STOP, _END = range(3)

OnValidation = Callable[[int, Scores], None]
"""Called with the step and the scores after every validation; raises to stop the run."""

ShouldStop = Callable[[], bool]
"""Asked after every step whether the run is to stop there."""


class Checkpoints(L.Callback):
    """What every rank does after a step: take its part in checkpoints, and end with rank 0."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._handler: Any = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        # Lightning adds a handler that ends the run wherever it is, and talks to other ranks from within. A caller
        # that handles the signal is left to it.
        left = self._handler not in (None, signal.SIG_DFL) or trainer.world_size > 1
        if left and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)

    def is_due(self, module: TrainingModule, step: int) -> bool:
        """Whether a validation and a checkpoint are due after so many steps."""
        training = module.recipe.training
        return step % training.validate_every == 0 or step == training.max_steps

    def keep(self, trainer: L.Trainer) -> None:
        """Save a checkpoint: written beside and moved, so that a kill leaves the last whole one."""
        partial = self.checkpoint.with_suffix(".partial")
        trainer.save_checkpoint(partial, weights_only=False)
        if trainer.is_global_zero:
            seal_checkpoint(partial, self.checkpoint)


class Milestones(Checkpoints):
    """Every ``validate_every`` steps, and at the end: validate, save a checkpoint, send metrics.

    Where ``should_stop`` says so after a step, save and send at that step, and raise :class:`Stopped`. The metrics go
    after the checkpoint that holds them, so a resumed run logs no step that it repeats, and sends what was not sent.
    """

    def __init__(
        self,
        checkpoint: Path,
        tracker: Tracker,
        on_validation: OnValidation | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        super().__init__(checkpoint)
        self.tracker, self.on_validation, self.should_stop = tracker, on_validation, should_stop

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, TrainingModule)
        step = trainer.global_step
        due = self.is_due(pl_module, step)
        if due:
            scores = pl_module.validate_now()
            self.keep(trainer)
            self.send(pl_module)
        verdict = _END
        try:
            if due:
                pl_module.check_scores()
                if self.on_validation is not None:
                    self.on_validation(step, scores)
            verdict = _STOP if self.should_stop is not None and self.should_stop() else _GO_ON
        finally:
            pl_module.rank.agree(verdict)
        if verdict == _STOP:
            if not due:
                self.keep(trainer)
                self.send(pl_module)
            raise Stopped(self.checkpoint.parent, step)

    def send(self, module: TrainingModule) -> None:
        """Send what has been recorded since the last time."""
        history, module.history = module.history, []
        for step, at, metrics in history:
            self.tracker.metrics(metrics, step, at)
        self.tracker.flush()


class Following(Checkpoints):
    """What the ranks do of it that are not rank 0: as :class:`Milestones`, collective by collective."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, TrainingModule)
        step = trainer.global_step
        due = self.is_due(pl_module, step)
        if due:
            pl_module.gather()
            self.keep(trainer)
        pl_module.history.clear()
        verdict = pl_module.rank.agree(_END)
        if verdict == _STOP and not due:
            self.keep(trainer)
        if verdict != _GO_ON:
            raise Stopped(self.checkpoint.parent, step)


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
