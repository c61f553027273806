"""Samples that this process has drawn and will be asked for again: each trial on a task makes it anew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from mythos_lab.tasks.samples import Samples

_MOST_BYTES = 64 * 2**20


class Kept:
    """The chunks that were asked for last, as many as fit.

    Args:
        most_bytes: What they may take together.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._chunks: OrderedDict[Hashable, Samples] = OrderedDict()
        self._bytes = 0

    def once(self, key: Hashable, make: Callable[[], Samples]) -> Samples:
        """What ``make`` made for this key, or makes now.

        Args:
            key: All that decides what it makes.
            make: Draws.
        """
        if key not in self._chunks:
            self._chunks[key] = made = make()
            self._bytes += made.num_bytes()
            while self._bytes > self._most_bytes:
                self._bytes -= self._chunks.popitem(last=False)[1].num_bytes()
            return made
        self._chunks.move_to_end(key)
        return self._chunks[key]
