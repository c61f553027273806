"""The colours of figures and pages, in light and dark.

Series are told apart by marker and dash as well as by colour. The first three colours are Okabe and Ito's, darkened
until each has a contrast of 3 with the paper (WCAG 2.2, 1.4.11); the others were sought to stay apart from them for
protans, deutans and tritans, as Machado et al. 2009 simulate their sight (DOI 10.1109/TVCG.2009.113).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """A role of a colour: its CSS variable, and what it is in light and in dark."""

    name: str
    light: str
    dark: str


PAPER = Colour("paper", "#fdfdfb", "#15181b")
INK = Colour("ink", "#1b1e22", "#e6e8ea")
MUTED = Colour("muted", "#5c636b", "#a3abb4")
RULE = Colour("rule", "#d9dcde", "#363c43")
SHADE = Colour("shade", "#f2f3f1", "#1e2226")

SERIES = (
    Colour("series-1", "#0072b2", "#6bb8ea"),
    Colour("series-2", "#c4500a", "#f29b5c"),
    Colour("series-3", "#00815e", "#4fc79f"),
    Colour("series-4", "#8a4079", "#b06a90"),
    Colour("series-5", "#8f55e0", "#8d6bff"),
    Colour("series-6", "#2d3136", "#dde4ee"),
)

ROLES = (PAPER, INK, MUTED, RULE, SHADE, *SERIES)

FAINTEST, STRONGEST = 0.04, 0.5
"""Opacities of the shades of a grid, on which ink stays legible."""

MARKERS = "os^DvP"
DASHES = ("-", (0, (6, 1.5)), (0, (3, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (1.5, 1.2)), "-")


def variables(is_dark: bool) -> str:
    """The CSS declarations of all roles."""
    return " ".join(f"--{role.name}: {role.dark if is_dark else role.light};" for role in ROLES)
