"""What layers leave behind on the way."""

from __future__ import annotations

from typing import Any


class Notes:
    """A dictionary that everybody who is given it writes into.

    It is none itself: FSDP2 and others make new dictionaries of those that they find in the arguments of a module, and
    what was written there would be lost.

    Args:
        held: The dictionary.
        states_only: Of a tape, whether the states after iterations are wanted alone, and nothing from within one.
        from_window: Of such a tape, whether those before the gradient window may be left out, where they can be had
            again.

    Attributes:
        beginning: How those that were left out are had again (:class:`mythos_blocks.core.again.Beginning`).
    """

    def __init__(self, held: dict[Any, Any], states_only: bool = False, from_window: bool = False) -> None:
        self.held, self.states_only, self.from_window = held, states_only, from_window
        self.beginning: Any = None

    def states(self) -> list[Any]:
        """Of a tape, the states after iterations, in order."""
        return [self.held[place] for place in sorted(filter(is_state, self.held))]


def is_state(place: Any) -> bool:
    """Whether a tape's place is that of a state after an iteration, ``("core", iteration)``."""
    return len(place) == 2 and bool(place[0] == "core")
