"""The width of the state against that of the input."""

from __future__ import annotations

from mythos_blocks.declaring.component import Component


def same_width(component: Component, width: int, input_width: int | None) -> None:
    """Refuse a state that is not as wide as the input, for components that put the two in one place.

    Raises:
        ValueError: The widths differ.
    """
    if input_width is not None and input_width != width:
        raise ValueError(
            f"{component.slot} {component.kind!r} needs a state as wide as the input ({input_width}), "
            f"and state_width is {width}"
        )
