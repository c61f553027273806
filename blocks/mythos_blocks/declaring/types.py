"""The few constrained types that component constructors use for their recipe fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
"""A whole number of things, at least one."""

Depth = Annotated[int, Field(ge=0)]
"""A number of layers; zero leaves the part out."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]
"""Strictly between zero and one."""
