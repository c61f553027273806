"""Options of attention and head that published systems have: biases, bounds, an output gate, wide values."""

import math

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.tensors.rotation import rotate
from tests.blocks.parts import VOCAB, WIDTH, make, randn, tokens


def test_biases_a_bound_and_a_gate_stand_where_they_are_said_to():
    fields = {"bias": True, "qk_bias": True, "clip_qkv": 0.4, "output_gate": True, "num_heads": 2}
    part = make("attention", {"kind": "mha", **fields}).double()
    x, positions = randn(2, 5, WIDTH).double(), torch.arange(5)
    q, k, v = (
        (x @ f.weight.T + f.bias).clamp(-0.4, 0.4) + (0 if b is None else b)
        for f, b in ((part.q, part.q_bias), (part.k, part.k_bias), (part.v, None))
    )
    q, k, v = (y.unflatten(-1, (2, -1)).transpose(1, 2) for y in (q, k, v))
    q, k = (rotate(y, positions, part.rope_theta, part.rope_pairing) for y in (q, k))
    scores = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // 2)).masked_fill(~torch.ones(5, 5).tril().bool(), -math.inf)
    read = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    gate = torch.sigmoid(x @ part.gate.weight.T + part.gate.bias)
    torch.testing.assert_close(part(x), (read * gate) @ part.out.weight.T + part.out.bias, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("absorb", [False, True])
def test_values_of_a_latent_attention_may_be_wider_than_its_keys(absorb):
    sizes = {"num_heads": 2, "kv_rank": 12, "q_rank": 12, "nope_dim": 4, "rope_dim": 2, "value_dim": 17}
    part = make("attention", {"kind": "mla", **sizes}).double()
    part.absorb = absorb
    x, positions = randn(2, 5, WIDTH).double(), torch.arange(5)
    latent = part.q_norm(part.q_down(x))
    heads = lambda y: y.unflatten(-1, (2, -1)).transpose(1, 2)  # noqa: E731
    low, rope = part.kv_down(x).split((12, 2), -1)
    key, value = heads(part.kv_up(part.kv_norm(low))).split((4, 17), -1)
    q = torch.cat(
        (heads(part.q_up_nope(latent)), rotate(heads(part.q_up_rope(latent)), positions, part.rope_theta)), -1
    )
    rope = rotate(rope, positions, part.rope_theta)[:, None].expand(-1, 2, -1, -1)
    scores = q @ torch.cat((key, rope), -1).transpose(-1, -2) / math.sqrt(6)
    scores = scores.masked_fill(~torch.ones(5, 5).tril().bool(), -math.inf)
    wanted = part.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(part(x), wanted, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_logits_are_bent_below_their_cap_wherever_a_head_reads():
    plain, capped = (mb.LoopedTransformer(VOCAB, width=WIDTH, logit_softcap=cap).eval() for cap in (None, 0.3))
    for model in (plain, capped):
        model.embedding.weight.normal_(generator=torch.Generator().manual_seed(0))
    logits = plain(tokens()).logits
    wanted = 0.3 * torch.tanh(logits / 0.3)
    assert logits.abs().max() > 1
    torch.testing.assert_close(capped(tokens()).logits, wanted)
    torch.testing.assert_close(capped.head(capped(tokens(), head=False).logits), wanted)


@torch.no_grad()
def test_embeddings_may_be_scaled_by_a_number():
    sizes = [
        float(mb.LoopedTransformer(VOCAB, width=WIDTH, scale_embeddings=scale).embedding_scale)
        for scale in (False, True, 50.0, 1)
    ]
    assert sizes == [1.0, WIDTH**0.5, 50.0, 1.0]
