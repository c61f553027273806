"""Explicit generators, one for each purpose."""

from __future__ import annotations

import hashlib

import torch


def keyed_generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that is a function of the key alone.

    The key is hashed, since torch's CPU generator reads the lower 32 bits of its seed only: numbers packed
    side by side into one seed would lose the upper one.
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:4], "big"))
