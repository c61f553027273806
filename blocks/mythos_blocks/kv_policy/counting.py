"""Entries that are counted over the layers of all iterations."""

from __future__ import annotations

from typing import Literal

Counted = Literal["iterations", "layers"]
"""What a policy counts: ``iterations``, of which each layer has entries of its own; or the ``layers`` of all
iterations, ``t * depth + layer``, as Huginn's cache does, so that layers share entries."""


def check_counted(counts: Counted, share: str) -> None:
    """Refuse layers that would share keys and values in a whole pass.

    Raises:
        ValueError: ``counts`` is ``layers`` and ``share`` is not ``overwrite``.
    """
    if counts == "layers" and share != "overwrite":
        raise ValueError(f"counts='layers' shares entries in decoding alone; share must be 'overwrite', not {share!r}")


def over_layers(path: tuple[str | int, ...], t: int, num_layers: int) -> tuple[tuple[str | int, ...], int]:
    """A path that all layers of the core share, and the number among those of all iterations of the one at ``path``."""
    _, layer, *rest = path
    assert isinstance(layer, int)
    return ("core", "layers", *rest), t * num_layers + layer
