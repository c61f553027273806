"""What an inspection has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Verb = Literal["is", "imports", "reads", "writes", "reaches", "beware"]
VERBS: tuple[Verb, ...] = ("is", "imports", "reads", "writes", "reaches", "beware")
"""What is told of a place, in this order."""

_MOST = 200  # of one verb; a folder may hold any number


@dataclass
class Findings:
    """What a place is, and what would be imported, read, written and reached by running it.

    Attributes:
        place: The file or folder.
        told: By verb, each thing once and in the order in which it was met.
        left_out: How many more there are, by verb.
    """

    place: str
    told: dict[Verb, dict[str, None]] = field(default_factory=lambda: {verb: {} for verb in VERBS})
    left_out: dict[Verb, int] = field(default_factory=dict)

    def tell(self, verb: Verb, what: str) -> None:
        """Add something."""
        known = self.told[verb]
        if what not in known and len(known) >= _MOST:
            self.left_out[verb] = self.left_out.get(verb, 0) + 1
            return
        known[what] = None
