"""The state before the first iteration."""

from mythos_blocks.initial_state.base import InitialState, NoiseState, drawn_states, restarted
from mythos_blocks.initial_state.fixed import FixedState
from mythos_blocks.initial_state.input import InputState
from mythos_blocks.initial_state.learned import LearnedState
from mythos_blocks.initial_state.normal import NormalState
from mythos_blocks.initial_state.truncated_normal import TruncatedNormalState
from mythos_blocks.initial_state.unit import UnitState
from mythos_blocks.initial_state.zeros import ZeroState

__all__ = [
    "FixedState",
    "InitialState",
    "InputState",
    "LearnedState",
    "NoiseState",
    "NormalState",
    "TruncatedNormalState",
    "UnitState",
    "ZeroState",
    "drawn_states",
    "restarted",
]
