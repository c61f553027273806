"""Text from looped transformers."""

from mythos_blocks.generation.decoder import Decoder
from mythos_blocks.generation.generate import Generation, generate
from mythos_blocks.generation.padding import left_padded
from mythos_blocks.generation.sampling import Sampling
from mythos_blocks.generation.stream import Step, Stream, stream

__all__ = ["Decoder", "Generation", "Sampling", "Step", "Stream", "generate", "left_padded", "stream"]
