"""Signals that ask a run to stop where it can go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mythos_lab.training.stopping import break_off, heeding


@dataclass
class StopRequest:
    """What signals have asked for.

    Attributes:
        signal: The number of the first one; ``None`` before it.
    """

    signal: int | None = None

    def asked(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    @property
    def exit_status(self) -> int:
        """What a shell reports of a process that the signal has ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or 0)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within it, the first SIGTERM or Ctrl-C asks for a stop; a second one does what it did before."""
    request = StopRequest()

    def ask(number: int) -> None:
        request.signal = number
        give_back()
        break_off()

    with heeding({signal.SIGINT: ask, signal.SIGTERM: ask}) as give_back:
        yield request
