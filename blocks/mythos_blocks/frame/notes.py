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
