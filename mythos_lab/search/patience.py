"""Waiting for a place that does not answer for a while: a server that restarts, a network that is away."""

from __future__ import annotations

import sys
import time

from mythos_lab.recipe.screen import one_line, say
from mythos_lab.training.stopping import is_asked

SECONDS = 600.0
"""How long what is away is waited for, in all."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_SILENT_SECONDS = 5.0  # a connection that broke is there again before anybody need know
_SECONDS_ONCE_ASKED = 10.0  # a third of what schedulers leave a process between SIGTERM and SIGKILL
_SLICE = 1.0  # in which a signal is noticed


class Patience:
    """Waits between tries, longer from one to the next, and says so where it takes more than a moment.

    A process that is asked to stop waits for what would take it in, but not for as long.

    Args:
        shown: What is waited for, as people may see it.
        seconds: How long, in all.
    """

    def __init__(self, shown: str, seconds: float = SECONDS) -> None:
        self._shown, self._seconds = shown, seconds
        self._pause, self._waited, self._is_said = _FIRST_PAUSE, 0.0, False

    def wait(self, error: BaseException) -> bool:
        """Wait until it is time for another try; ``False`` at once where it has been long enough."""
        if self._waited >= self._most():
            return False
        if self._waited >= _SILENT_SECONDS and not self._is_said:
            self._is_said = True
            said = one_line(f"{type(error).__name__}: {error}")[:200]
            say(
                f"{self._shown} does not answer, and is waited for, {self._seconds:g} s at most ({said})",
                file=sys.stderr,
            )
        until, self._pause = self._waited + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        while self._waited < min(until, self._most()):
            slice_ = min(until - self._waited, _SLICE)
            time.sleep(slice_)
            self._waited += slice_
        return True

    def _most(self) -> float:
        return min(self._seconds, _SECONDS_ONCE_ASKED) if is_asked() else self._seconds

    def answered(self) -> None:
        """Say so where it was said to be away."""
        if self._is_said:
            say(f"{self._shown} answers again, after {self._waited:.0f} s", file=sys.stderr)
