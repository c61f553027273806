"""Waiting for a place that does not answer for a while: a server that restarts, a network that is away."""

from __future__ import annotations

import sys
import time

from mythos_lab.recipe.screen import one_line, say

SECONDS = 600.0
"""How long what is away is waited for, in all."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_SILENT_SECONDS = 5.0  # a connection that broke is there again before anybody need know


class Patience:
    """Waits between tries, longer from one to the next, and says so where it takes more than a moment.

    Args:
        shown: What is waited for, as people may see it.
        seconds: How long, in all.
    """

    def __init__(self, shown: str, seconds: float = SECONDS) -> None:
        self._shown, self._seconds = shown, seconds
        self._pause, self._waited, self._is_said = _FIRST_PAUSE, 0.0, False

    def wait(self, error: BaseException) -> bool:
        """Wait until it is time for another try; ``False`` at once where it has been long enough."""
        if self._waited >= self._seconds:
            return False
        if self._waited >= _SILENT_SECONDS and not self._is_said:
            self._is_said = True
            said = one_line(f"{type(error).__name__}: {error}")[:200]
            say(
                f"{self._shown} does not answer, and is waited for, {self._seconds:g} s at most ({said})",
                file=sys.stderr,
            )
        time.sleep(self._pause)
        self._waited, self._pause = self._waited + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return True

    def answered(self) -> None:
        """Say so where it was said to be away."""
        if self._is_said:
            say(f"{self._shown} answers again, after {self._waited:.0f} s", file=sys.stderr)
