"""Laws that a protocol fits over its arms: as declared, and as a record keeps what came of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mythos_lab.comparison.reproduce.fits.power import HeldPower, PowerFit
from mythos_lab.comparison.reproduce.fits.worth import HeldWorth, WorthFit

DeclaredFit = Annotated[WorthFit | PowerFit, Field(discriminator="kind")]
"""A law as a protocol declares it."""

HeldFit = Annotated[HeldWorth | HeldPower, Field(discriminator="kind")]
"""What came of it, as a record keeps it."""

__all__ = ["DeclaredFit", "HeldFit", "HeldPower", "HeldWorth", "PowerFit", "WorthFit"]
