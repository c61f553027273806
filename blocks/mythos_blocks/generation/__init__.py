"""Text from looped transformers."""

from mythos_blocks.generation.decoder import Decoder
from mythos_blocks.generation.engine import Engine, NewToken, Work
from mythos_blocks.generation.generate import Generation, generate
from mythos_blocks.generation.lazy import LazyDecoder
from mythos_blocks.generation.own_exits import read_at_exits
from mythos_blocks.generation.padding import left_padded
from mythos_blocks.generation.sampling import Sampling
from mythos_blocks.generation.stream import Step, Stream, stream

__all__ = [
    "Decoder",
    "Engine",
    "Generation",
    "LazyDecoder",
    "NewToken",
    "Sampling",
    "Step",
    "Stream",
    "Work",
    "generate",
    "left_padded",
    "read_at_exits",
    "stream",
]
