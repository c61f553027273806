"""Explicit generators, one for each purpose; and where the global ones stand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import get_device_states, set_device_states


def keyed_generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that is a function of the key alone.

    The key is hashed, since torch's CPU generator reads the lower 32 bits of its seed only: numbers packed
    side by side into one seed would lose the upper one.
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:4], "big"))


def reseed(seed: int, device: torch.device) -> None:
    """Seed torch's global generators that parts on a device draw from: the CPU's, and the device's own.

    They are then as after ``torch.manual_seed``, which also seeds those of accelerators that nobody has begun to
    use, and for each of them writes down the stack of the call: .7 ms where this takes .004.
    """
    torch.default_generator.manual_seed(seed)
    if device.type not in ("cpu", "meta"):
        torch.get_device_module(device).manual_seed(seed)


@dataclass(frozen=True)
class GlobalNumbers:
    """Where torch's global generators stand, of the CPU and of one device.

    Attributes:
        cpu: The state of the CPU's.
        devices: Which other devices' there are.
        states: The states of these.
    """

    cpu: Tensor
    devices: list[int]
    states: list[Tensor]

    @classmethod
    def now(cls, x: Tensor) -> GlobalNumbers:
        """Where they stand for what is drawn beside ``x``."""
        devices, states = get_device_states(x)
        return cls(torch.get_rng_state(), devices, states)

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """The span that draws on from there; afterwards the generators stand as they did before it."""
        with torch.random.fork_rng(self.devices):
            torch.set_rng_state(self.cpu)
            set_device_states(self.devices, self.states)
            yield
