"""Which iterations share keys and values."""

from mythos_blocks.kv_policy.anchor import Anchor
from mythos_blocks.kv_policy.base import KVPolicy
from mythos_blocks.kv_policy.blocks import Blocks
from mythos_blocks.kv_policy.first import First
from mythos_blocks.kv_policy.last import LastWritten
from mythos_blocks.kv_policy.modulo import Modulo
from mythos_blocks.kv_policy.per_loop import PerLoop
from mythos_blocks.kv_policy.recursion_wise import RecursionWise

__all__ = ["Anchor", "Blocks", "First", "KVPolicy", "LastWritten", "Modulo", "PerLoop", "RecursionWise"]
