"""Which iterations the readout weighs, position by position."""

from mythos_blocks.halting.act import ACT
from mythos_blocks.halting.base import Halting, HaltingState
from mythos_blocks.halting.expert_choice import ExpertChoice
from mythos_blocks.halting.gate import GatedHalting
from mythos_blocks.halting.gate_cdf import GateCDF
from mythos_blocks.halting.none import NoHalting
from mythos_blocks.halting.ponder import Ponder
from mythos_blocks.halting.q_head import QHead
from mythos_blocks.halting.token_choice import TokenChoice

__all__ = [
    "ACT",
    "ExpertChoice",
    "GateCDF",
    "GatedHalting",
    "Halting",
    "HaltingState",
    "NoHalting",
    "Ponder",
    "QHead",
    "TokenChoice",
]
