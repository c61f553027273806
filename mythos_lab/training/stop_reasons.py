"""How a run ends before its last step."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Diverged(RuntimeError):
    """Training left what the recipe allows: a loss that is not finite, or rho(A) at its limit."""


class Pruned(Exception):
    """Raised by ``on_validation`` to end a run early on purpose."""


class Stopped(Exception):
    """The run was asked to stop; :func:`mythos_lab.training.run.run` in the same folder goes on.

    Attributes:
        folder: The run's directory.
        step: Steps done, which the checkpoint there covers; ``None`` where it was stopped before training began, or
            went on.
    """

    def __init__(self, folder: Path, step: int | None) -> None:
        super().__init__("stopped before a step was trained" if step is None else f"stopped after step {step}")
        self.folder, self.step = folder, step

    def __reduce__(self) -> Any:
        return type(self), (self.folder, self.step)


class RankDied(RuntimeError):
    """A process that trained together with this one ended before its time."""

    def __init__(self, index: int, status: int, log: Path) -> None:
        self._from = index, status, log
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
        last = f": {lines[-1]}" if lines else ""
        super().__init__(f"rank {index} ended with status {status}{last}; see {log}")

    def __reduce__(self) -> Any:
        return type(self), self._from
