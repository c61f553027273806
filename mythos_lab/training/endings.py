"""How a run ends before its last step."""

from __future__ import annotations

from pathlib import Path


class Diverged(RuntimeError):
    """Training left what the recipe allows: a loss that is not finite, or rho(A) at its limit."""


class Pruned(Exception):
    """Raised by ``on_validation`` to end a run early on purpose."""


class Stopped(Exception):
    """The run was asked to stop; :func:`mythos_lab.training.run.run` in the same folder goes on.

    Attributes:
        folder: The run's directory.
        step: Steps done, which the checkpoint there covers.
    """

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.folder, self.step = folder, step
