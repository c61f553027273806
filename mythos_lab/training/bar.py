"""The progress of a training: a bar at a terminal, and in a file a line at each validation."""

from __future__ import annotations

import time
from types import TracebackType

from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mythos_lab.recipe.screen import say, since
from mythos_lab.training.state import Training

_SHOWN = (
    ("train/loss", "loss {:.3f}"),
    ("stability/rho_A", "rho(A) {:.3f}"),
    ("train/num_loops", "loops {:.0f}"),
    ("speed/tokens_per_second", "tok/s {:.0f}"),
)


class Bar:
    """Steps done, the time that they took and that is left, loss, rho(A), loops, tokens per second, and accuracy."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._began, self._first = time.monotonic(), training.num_steps
        total = training.recipe.training.max_steps
        self._taken = 36 + 2 * len(str(total))  # columns of the screen before the numbers, with ten for the bar
        self._progress = Progress(
            TextColumn("step"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[seen]}", markup=False),
            disable=not get_console().is_interactive,
        )
        self._line = self._progress.add_task("", total=total, completed=training.num_steps, seen="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """Show the steps done."""
        metrics, scores = self._training.metrics, self._training.scores
        seen = [form.format(metrics[name]) for name, form in _SHOWN if name in metrics]
        if scores is not None:
            seen.append(f"val/accuracy {scores.accuracy:.3f}")
        if not self._progress.disable:
            room = max(0, self._progress.console.width - self._taken)  # else the times would be cut as well
            self._progress.update(self._line, completed=self._training.num_steps, seen="  ".join(seen)[:room])
        elif self._training.is_due():
            done, total = self._training.num_steps, self._training.recipe.training.max_steps
            say("  ".join([f"step {done:,} of {total:,}", since(self._began, done - self._first, total - done), *seen]))
