"""Models whose loops are known: each iteration applies a matrix that a test plants."""

import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures import Samples
from tests.lab.measures.planted_words import tables

NUM_TOKENS = 12


def register():
    """A layer that multiplies one-hot states by the iteration's matrix, ``maps[t]``."""
    if "planted" in slot_info("layer").kinds:
        return

    @mb.component("layer", "planted")
    class Planted(mb.Layer):
        """A known map for each iteration."""

        def __init__(self, width: int, max_loops: int = 1) -> None:
            super().__init__()
            self.maps = torch.nn.Parameter(torch.eye(width).repeat(max_loops, 1, 1))

        def forward(self, x, frame=None):
            return x @ self.maps[frame.t % len(self.maps)]


def model(maps, **core):
    """A model of one-hot states that applies ``maps``, ``(T, width, width)``, one after the other."""
    register()
    num_loops, width = maps.shape[:2]
    planted = mb.LoopedTransformer(
        width, width=width, norm="none", tie_embeddings=False,
        core={"layer": "planted", "loops": {"kind": "fixed", "num_loops": num_loops}, **core},
    )  # fmt: skip
    with torch.no_grad():
        planted.embedding.weight.copy_(torch.eye(width))
        planted.head.weight.copy_(torch.eye(width))
        planted.core.layers[0].maps.copy_(maps)
    return planted.eval()


def permuting(letters, seed=0, **core):
    """A model whose iterations apply the permutations that letters name."""
    return model(torch.eye(NUM_TOKENS)[tables(letters, NUM_TOKENS, seed)], **core)


def samples(num, seed=0, **more):
    """Samples of one token, the answer to which is scored."""
    tokens = torch.randint(NUM_TOKENS, (num, 1), generator=torch.Generator().manual_seed(1000 + seed))
    return Samples.of_tokens(tokens, tokens, **more)
