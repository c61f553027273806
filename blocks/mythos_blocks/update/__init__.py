"""How the core's output becomes the next state."""

from mythos_blocks.update.base import Update
from mythos_blocks.update.damped import Damped
from mythos_blocks.update.gated_residual import GatedResidual
from mythos_blocks.update.gru import GRU
from mythos_blocks.update.gru_transition import GRUTransition
from mythos_blocks.update.highway import Highway
from mythos_blocks.update.hyper_connections import HyperConnections
from mythos_blocks.update.lstm import LSTM
from mythos_blocks.update.outer_norm import OuterNorm
from mythos_blocks.update.replace import Replace
from mythos_blocks.update.residual import Residual

__all__ = [
    "GRU",
    "LSTM",
    "Damped",
    "GRUTransition",
    "GatedResidual",
    "Highway",
    "HyperConnections",
    "OuterNorm",
    "Replace",
    "Residual",
    "Update",
]
