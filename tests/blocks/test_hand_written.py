"""The yardstick of the benchmarks is the same model: forward, backward and with a cache."""

import pytest
import torch

from benchmarks.loops import pair, some_tokens
from mythos_blocks import Decoder
from tests.blocks.parts import randomise


def both(width=32, num_loops=5):
    ours, theirs = pair(width, num_loops)
    randomise(ours, std=0.2)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("width", [32, 48])
def test_the_hand_written_model_has_our_logits_and_gradients(width):
    ours, theirs = both(width)
    tokens, gradients = some_tokens(2, 12), []
    logits = [ours(tokens).logits, theirs(tokens)]
    for model, out in zip((ours, theirs), logits, strict=True):
        out.sin().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradient, gradients[1][name], rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


@torch.no_grad()
def test_the_hand_written_model_decodes_as_ours_does():
    ours, theirs = both()
    tokens = some_tokens(2, 9)
    decoder, entries = Decoder(ours, 2), theirs.entries(2, 9)
    for begin, end in ((0, 6), (6, 7), (7, 8), (8, 9)):
        logits = decoder.advance(tokens[:, begin:end]).logits
        torch.testing.assert_close(theirs(tokens[:, begin:end], entries, begin), logits, rtol=1e-4, atol=1e-5)
