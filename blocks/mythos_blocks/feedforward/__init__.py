"""What each position computes on its own."""

from mythos_blocks.feedforward.base import Feedforward
from mythos_blocks.feedforward.expert_attention import ExpertAttention
from mythos_blocks.feedforward.gelu import GELU
from mythos_blocks.feedforward.identity import Identity
from mythos_blocks.feedforward.moe import MixtureOfExperts
from mythos_blocks.feedforward.relu2 import ReLU2
from mythos_blocks.feedforward.routing import RoutedExperts
from mythos_blocks.feedforward.separable_convolution import SeparableConvolution
from mythos_blocks.feedforward.swiglu import SwiGLU

__all__ = [
    "Feedforward",
    "GELU",
    "ExpertAttention",
    "Identity",
    "MixtureOfExperts",
    "ReLU2",
    "RoutedExperts",
    "SeparableConvolution",
    "SwiGLU",
]
