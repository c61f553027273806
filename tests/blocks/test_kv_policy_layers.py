"""Policies that count the layers of all iterations, as Huginn's cache does with ``compress-r`` and ``compress-s``."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.tensors.rotation import rotate
from tests.blocks.parts import VOCAB, WIDTH, randomise, tokens

DEPTH, LOOPS = 3, 4
SLOT = {
    "blocks": lambda number: number // 2,  # compress-r2
    "modulo": lambda number: number % 2,  # compress-s2, whose period no number of iterations is
}


def built(kind):
    of = {"blocks": {"length": 2}, "modulo": {"period": 2}}[kind]
    policy = {"kind": kind, "share": "overwrite", "counts": "layers", **of}
    core = {"depth": DEPTH, "injection": "add", "loops": {"kind": "fixed", "num_loops": LOOPS}, "kv_policy": policy}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core).eval()
    randomise(model, std=0.2)
    return model


def by_hand(model, ids, slot):
    """Token by token, with one dictionary from slots to keys and values by position, the last write of which stands."""
    cache, logits = {}, []
    for position in range(ids.shape[1]):
        h = e = model.embedding(ids[:, position : position + 1])
        for number in range(DEPTH * LOOPS):
            layer = model.core.layers[number % DEPTH]
            x = h if number % DEPTH else model.core.injection.combine(h, e)
            a, n = layer.attention, layer.attention_norm(x)
            heads = [f(n).unflatten(-1, (-1, a.head_dim)).transpose(1, 2) for f in (a.q, a.k, a.v)]
            place = torch.tensor([position])
            q, k = (rotate(y, place, a.rope_theta, a.rope_pairing) for y in heads[:2])
            held = cache.setdefault(slot(number), {})
            held[position] = k, heads[2]
            keys, values = (torch.cat([held[p][i] for p in sorted(held)], 2) for i in (0, 1))
            read = torch.nn.functional.scaled_dot_product_attention(q, keys, values, enable_gqa=True)
            x = x + a.out(read.transpose(1, 2).flatten(2))
            h = x + layer.feedforward(layer.feedforward_norm(x))
        logits.append(model.read(h))
    return torch.cat(logits, 1)


@torch.no_grad()
@pytest.mark.parametrize("kind", SLOT)
def test_decoding_reads_what_the_last_layer_wrote_into_a_slot(kind):
    model, ids = built(kind), tokens(2, 6)
    decoder = mb.Decoder(model, 2)
    decoded = torch.stack([decoder.step(ids[:, i]) for i in range(6)], 1)
    torch.testing.assert_close(decoded, by_hand(model, ids, SLOT[kind]), rtol=1e-4, atol=1e-4)
    assert not decoder.exact and not torch.allclose(decoded, model(ids).logits, atol=1e-2)


@pytest.mark.parametrize("kind", SLOT)
def test_layers_share_in_decoding_alone_and_are_those_of_one_stack(kind):
    with pytest.raises(ValueError, match="share must be 'overwrite', not 'reuse'"):
        mb.Slot("kv_policy").resolve({"kind": kind, "counts": "layers"}).build()
    policy = {"kind": kind, "share": "overwrite", "counts": "layers"}
    with pytest.raises(ValueError, match="counts='layers' numbers the layers of one stack; core must be 'loop'"):
        mb.HierarchicalLoop(WIDTH, kv_policy=policy)
