"""What something took, by the clock and by this process's processor, which others that are busy stretch less."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple


class Took(NamedTuple):
    """Seconds.

    Attributes:
        clock: Of the clock.
        processor: That this process's threads computed.
    """

    clock: float
    processor: float


def now() -> Took:
    """Where both stand."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Took(time.perf_counter(), usage.ru_utime + usage.ru_stime)


def since(start: Took) -> Took:
    """How far both have come since."""
    clock, processor = now()
    return Took(clock - start.clock, processor - start.processor)
