"""When a position stops iterating outside training, by what its state or its logits do."""

from mythos_blocks.exit.acceleration import AccelerationExit
from mythos_blocks.exit.argmax import ArgmaxExit
from mythos_blocks.exit.base import Exit, ExitState
from mythos_blocks.exit.cosine import CosineExit
from mythos_blocks.exit.entropy import EntropyExit
from mythos_blocks.exit.kl import KLExit
from mythos_blocks.exit.latent import LatentExit
from mythos_blocks.exit.min_p_kl import MinPKLExit
from mythos_blocks.exit.none import NoExit
from mythos_blocks.exit.threshold import ThresholdExit

__all__ = [
    "AccelerationExit",
    "ArgmaxExit",
    "CosineExit",
    "EntropyExit",
    "Exit",
    "ExitState",
    "KLExit",
    "LatentExit",
    "MinPKLExit",
    "NoExit",
    "ThresholdExit",
]
