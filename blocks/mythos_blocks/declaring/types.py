"""The few constrained types that component constructors use for their recipe fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_LOOPS = 4096
"""The most iterations that can be declared; those published end at 64."""

MAX_LAYERS = 4096
"""The most layers of a stack."""


@dataclass(frozen=True)
class AtMost:
    """What a field may not exceed because no machine could do with more.

    It is no bound of what makes sense, so that a search has no range from it, as it has from a field's ``le``.
    """

    limit: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "maximum": self.limit}

    def _checked(self, value: Any) -> Any:
        if value > self.limit:
            raise PydanticCustomError("at_most", "input should be at most {limit}", {"limit": self.limit})
        return value


Count = Annotated[int, Field(ge=1), AtMost(2**20)]
"""A whole number of things in a model or in a sample, at least one."""

NoneOrMore = Annotated[int, Field(ge=0), AtMost(2**20)]
"""The same, or none."""

Many = Annotated[int, Field(ge=1), AtMost(2**31 - 1)]
"""A whole number of steps, samples or the like, at least one."""

Depth = Annotated[int, Field(ge=0), AtMost(MAX_LAYERS)]
"""A number of layers; zero leaves the part out."""

Layers = Annotated[int, Field(ge=1), AtMost(MAX_LAYERS)]
"""A number of layers, at least one."""

Loops = Annotated[int, Field(ge=1), AtMost(MAX_LOOPS)]
"""A number of iterations, at least one."""

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Real = float
Probability = Annotated[float, Field(gt=0, lt=1)]
"""Strictly between zero and one."""
