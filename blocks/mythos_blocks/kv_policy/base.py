"""The contract of a key-value policy."""

from __future__ import annotations

from mythos_blocks.declaring.component import Component
from mythos_blocks.declaring.contract import contract


@contract("kv_policy")
class KVPolicy(Component):
    """Which iterations share keys and values.

    An entry holds one set of keys and values. Iteration t reads the entry ``entry(t)``, after writing it where
    ``writes(t)``.

    Attributes:
        exact: Whether decoding with a cache equals the full forward pass.
        reuses: Whether an iteration may read what another one wrote.
        alive_only: Whether an iteration reads those positions only that it runs itself.
        num_layers: Layers of the core, as the loop says, for policies that count them.
    """

    exact: bool = True
    reuses: bool = False
    alive_only: bool = False
    num_layers: int = 1

    def entry(self, t: int) -> int:
        """The entry of iteration ``t``."""
        return t

    def place(self, path: tuple[str | int, ...], t: int) -> tuple[tuple[str | int, ...], int]:
        """Where a cache keeps what the part at ``path`` writes in iteration ``t``: a path, and the entry there."""
        return path, self.entry(t)

    def writes(self, t: int) -> bool:
        """Whether iteration ``t`` writes its entry; otherwise it reads what an earlier one wrote."""
        return True
