"""What the coda reads of the state that leaves the loop."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import LOOPS, VOCAB, WIDTH, make, randn, randomise, tokens


def rms(x, gain, eps=1e-6):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain


@torch.no_grad()
def test_what_each_kind_reads():
    h, final = randn(2, 3, WIDTH), mb.RMSNorm(WIDTH)
    randomise(final, std=1.0)
    norm, projection = make("interface", "norm"), make("interface", "projection")

    assert torch.equal(make("interface", "none")(h, final), h)
    torch.testing.assert_close(make("interface", "final_norm")(h, final), rms(h, final.weight))
    torch.testing.assert_close(norm(h, final), rms(h, norm.norm.weight))
    torch.testing.assert_close(projection(h, final), h @ projection.projection.weight.T)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["none", "norm", "final_norm", "projection"])
def test_a_model_reads_its_last_state_through_it(kind):
    core = {"interface": kind, "loops": {"kind": "fixed", "num_loops": LOOPS}}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core, coda={"depth": 1}).eval()
    randomise(model)
    out = model(tokens(), record=True)
    h = out.states[-1]

    x = model.coda(model.core.interface(h, model.norm))
    wanted = rms(x, model.norm.weight) @ model.embedding.weight.T

    torch.testing.assert_close(out.logits, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.read(h), wanted, rtol=1e-4, atol=1e-4)


def test_the_norm_before_the_head_is_shared_and_adds_no_parameter():
    plain, shared = (
        dict(mb.LoopedTransformer(VOCAB, width=WIDTH, core={"interface": kind}).named_parameters())
        for kind in ("none", "final_norm")
    )
    assert plain.keys() == shared.keys()


def test_only_a_projection_changes_the_width():
    assert mb.ProjectionInterface(48, WIDTH)(randn(2, 3, 48), torch.nn.Identity()).shape == (2, 3, WIDTH)
    for kind in (mb.NoInterface, mb.NormInterface, mb.FinalNormInterface):
        with pytest.raises(ValueError, match=r"as wide as the input \(32\), and state_width is 48"):
            kind(48, WIDTH)
