"""What a worker does beside a trial, again and again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from mythos_lab.recipe.screen import say

_FIRST_PAUSE_SECONDS = 1.0


class Repeating:
    """Calls something every so many seconds, in a thread of its own, while a ``with`` block runs.

    What it raises ends nothing: it is said, and tried again after a second, two, four, and so on up to the usual
    distance. What ends a worker is its trial, and not a disk or a network that was away for a moment.

    Args:
        what: What it does, for messages.
        seconds: Between two calls.
        call: Returns whether to go on.
    """

    def __init__(self, what: str, seconds: float, call: Callable[[], bool]) -> None:
        self._what, self._seconds, self._call = what, seconds, call
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._repeat, daemon=True)

    def _repeat(self) -> None:
        num_failed, pause = 0, self._seconds
        while not self.over.wait(pause):
            try:
                goes_on = self._call()
            except Exception as error:
                pause = min(self._seconds, _FIRST_PAUSE_SECONDS * 2**num_failed)
                num_failed += 1
                if num_failed.bit_count() == 1:  # the first, second, fourth, eighth time
                    said = " ".join(str(error).split())[:200]
                    self._say(f"failed {num_failed} times, and is tried again: {type(error).__name__}: {said}")
                continue
            if not goes_on:
                return
            if num_failed:
                self._say(f"works again, after {num_failed} failures")
            num_failed, pause = 0, self._seconds

    def _say(self, what: str) -> None:
        say(f"{self._what} {what}", file=sys.stderr)

    def __enter__(self) -> Repeating:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
