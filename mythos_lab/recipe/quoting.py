"""Texts as values of overrides."""

from __future__ import annotations

import re


def quoted(text: str) -> str:
    """A text as a value of an override that is read back as the same, whatever stands in it.

    In Hydra's grammar backslashes are doubled only where they stand before a quote, or at the end.
    """
    within = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{within}'"
