"""Key-value policies over iterations: in a whole pass, and what they keep."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import lookup
from mythos_blocks.tensors.rotation import rotate
from tests.blocks.parts import kinds, model, randomise, tokens

EXACT = [
    ("first", {}),
    ("modulo", {"period": 2}),
    ("anchor", {"num_exact": 2, "period": 2}),
    ("blocks", {"length": 2}),
]


def by_hand(made, ids, num_loops, source):
    """The loop in which iteration t reads the keys and values that iteration ``source(t)`` made."""
    layer, h, e = made.core.layers[0], None, made.embedding(ids)
    h, kept, attention, positions = e, {}, layer.attention, torch.arange(ids.shape[1])

    def heads(y):
        return y.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)

    for t in range(num_loops):
        x = made.core.injection.combine(h, e, made.core.depth_signal(t))
        n = layer.attention_norm(x)
        q, k = (rotate(heads(linear(n)), positions, attention.rope_theta) for linear in (attention.q, attention.k))
        kept[t] = (k, heads(attention.v(n)))
        k, v = kept[source(t)]
        attended = mb.AttentionMask().attend(q, k, v, attention.head_dim**-0.5)
        x = x + attention.out(attended.transpose(1, 2).flatten(2))
        h = x + layer.feedforward(layer.feedforward_norm(x))
    return h


@torch.no_grad()
@pytest.mark.parametrize("kind, fields", EXACT, ids=[kind for kind, _ in EXACT])
def test_a_sharing_iteration_reads_what_an_earlier_one_wrote(kind, fields):
    made = model(7, injection="add", depth_signal="learned", kv_policy={"kind": kind, **fields}).eval()
    randomise(made, std=0.2)
    policy = made.core.kv_policy

    def source(t):
        return next(s for s in range(t + 1) if policy.entry(s) == policy.entry(t) and policy.writes(s))

    assert len({source(t) for t in range(7)}) == len({policy.entry(t) for t in range(7)}) < 7
    wanted = by_hand(made, tokens(), 7, source)
    torch.testing.assert_close(made.core(made.embedding(tokens()), None, 7).h, wanted, rtol=1e-4, atol=1e-5)
    own = by_hand(made, tokens(), 7, lambda t: t)
    assert not torch.allclose(own, wanted, atol=1e-3)


def test_sharing_iterations_do_not_learn_keys_that_nobody_reads():
    made = model(4, injection="add", kv_policy="first").train()
    randomise(made, std=0.2)
    made(tokens()).logits.sin().sum().backward()
    assert made.core.layers[0].attention.k.weight.grad.any()


@pytest.mark.parametrize("slot, kind", kinds("kv_policy"))
def test_entries_are_numbered_from_zero_and_first_written_before_they_are_read(slot, kind):
    policy = lookup(slot, kind)()
    seen = set()
    for t in range(40):
        if policy.writes(t):
            seen.add(policy.entry(t))
        assert policy.entry(t) in seen
    assert seen == set(range(len(seen)))
    assert policy.exact or not policy.reuses


@torch.no_grad()
def test_recursion_wise_hides_positions_that_do_not_run():
    counts = torch.tensor([[1, 3, 1, 3, 3, 1]])
    made = model(3, injection="add", kv_policy="recursion_wise").eval()
    randomise(made, std=0.3)
    ids = tokens(1, 6)
    before = made(ids, iterations=counts)
    full = model(3, injection="add").eval()
    full.load_state_dict(made.state_dict())
    assert not torch.allclose(before.logits, full(ids, iterations=counts).logits, atol=1e-4)

    # What a stopped position last wrote is not read: iterations 2 and 3 of the others are those of a shorter sequence.
    e = made.embedding(ids)
    state = made.core.step(made.core.start(e), 0)
    alive = counts[0] == 3
    state = made.core.step(state, 1, where=alive[None])
    short = made.core.step(made.core.start(e), 0).h[:, alive]
    positions = torch.arange(6)[alive]
    x = made.core.injection.combine(short, e[:, alive], None)
    wanted = made.core.layers[0](x, mb.Frame(positions=positions, t=1))
    torch.testing.assert_close(state.h[:, alive], wanted, rtol=1e-4, atol=1e-5)
