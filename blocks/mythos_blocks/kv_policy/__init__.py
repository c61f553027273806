"""Which iterations share keys and values."""

from mythos_blocks.kv_policy.base import KVPolicy
from mythos_blocks.kv_policy.per_loop import PerLoop

__all__ = ["KVPolicy", "PerLoop"]
