"""The options of attention against plain renderings; depth attention; the absorbed form of latent attention."""

import pytest
import torch
import torch.nn.functional as F

import mythos_blocks as mb
from mythos_blocks.attention.value_embedding import ValueEmbedding
from mythos_blocks.checkpoints import load_model, save
from mythos_blocks.frame.memory import Memory
from mythos_blocks.tensors.rotation import rotate
from tests.blocks.parts import VOCAB, WIDTH, make, model, randn, randomise, tokens

POSITIONS = 6


def plain_heads(attention, x, ids, rotation, norm):
    """Multi-head attention position by position and head by head."""
    d, out = attention.head_dim, []
    q, k, v = x @ attention.q.weight.T, x @ attention.k.weight.T, x @ attention.v.weight.T
    if attention.q_bias is not None:
        q, k = q + attention.q_bias, k + attention.k_bias
    for head in range(attention.num_heads):
        part = slice(head * d, (head + 1) * d)
        qh, kh, vh = q[..., part], k[..., part], v[..., part]
        if attention.value_embedding is not None:
            gate = 2 * torch.sigmoid(x[..., :32] @ attention.value_embedding.gate.weight[head])
            vh = vh + gate.unsqueeze(-1) * attention.value_embedding.table.weight[ids][..., part]
        if norm == "before_rope":
            qh, kh = F.rms_norm(qh, (d,)), F.rms_norm(kh, (d,))
        qh, kh = rotation(qh), rotation(kh)
        if norm == "after_rope":
            qh, kh = F.rms_norm(qh, (d,)), F.rms_norm(kh, (d,))
        scores = qh @ kh.transpose(1, 2) / d**0.5
        scores = scores.masked_fill(torch.ones(POSITIONS, POSITIONS).triu(1).bool(), -torch.inf)
        out.append(scores.softmax(-1) @ vh)
    return torch.cat(out, dim=-1) @ attention.out.weight.T


def rotation_matrix(pairing, theta, d):
    def rotation(x):
        turned = x.clone()
        for position in range(x.shape[1]):
            for i in range(d // 2):
                a, b = (2 * i, 2 * i + 1) if pairing == "interleaved" else (i, i + d // 2)
                angle = torch.tensor(position * theta ** (-2 * i / d))
                turned[:, position, a] = x[:, position, a] * angle.cos() - x[:, position, b] * angle.sin()
                turned[:, position, b] = x[:, position, a] * angle.sin() + x[:, position, b] * angle.cos()
        return turned

    return rotation


@torch.no_grad()
@pytest.mark.parametrize(
    "fields",
    [
        {"qk_bias": True},
        {"qk_norm": "before_rope"},
        {"qk_norm": "after_rope", "rope_theta": 50_000.0},
        {"rope_pairing": "halves"},
        {"value_embeddings": VOCAB, "qk_norm": "after_rope", "qk_bias": True},
    ],
    ids=str,
)
def test_options_are_their_plain_rendering(fields):
    attention = make("attention", {"kind": "mha", **fields})
    x, ids = randn(2, POSITIONS, WIDTH), tokens(2, POSITIONS)
    rotation = rotation_matrix(attention.rope_pairing, attention.rope_theta, attention.head_dim)
    wanted = plain_heads(attention, x, ids, rotation, attention.qk_norm)
    torch.testing.assert_close(attention(x, mb.Frame(tokens=ids)), wanted, rtol=1e-4, atol=1e-5)


def test_value_embeddings_need_tokens():
    with pytest.raises(ValueError, match="read the tokens again"):
        make("attention", {"kind": "gqa", "value_embeddings": VOCAB})(randn(1, 2, WIDTH))
    layer = {"attention": {"kind": "gqa", "value_embeddings": VOCAB}}
    assert model(layer=layer)(tokens()).logits.isfinite().all()


@pytest.mark.parametrize("allowed", [False, True])
def test_absorbed_and_expanded_latent_attention_agree_forward_and_backward(allowed):
    attention = make("attention", "mla")
    mask = (
        mb.AttentionMask(allowed=(randn(1, POSITIONS, POSITIONS) > 0) | torch.eye(POSITIONS).bool())
        if allowed
        else mb.AttentionMask()
    )
    results = []
    for absorb in (False, True):
        attention.absorb = absorb
        x = randn(2, POSITIONS, WIDTH).requires_grad_()
        out = attention(x, mb.Frame(mask))
        results.append((out, *torch.autograd.grad(out.sin().sum(), [x, *attention.parameters()])))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_one_query_against_many_keys_is_absorbed():
    attention, seen = make("attention", "mla"), []
    attention._absorbed_one = lambda *args: seen.append("absorbed") or torch.zeros(1, 4, args[0].shape[2], 32)
    attention._expanded = lambda *args: seen.append("expanded") or torch.zeros(1, 4, args[0].shape[2], 32)

    class Past:
        def extended(self, path, entry, chunk):
            return tuple(torch.cat((c.new_zeros(1, 20, c.shape[-1]), c), 1) for c in chunk)

        def alive(self, t, chunk):
            return chunk

    frame = mb.Frame(mb.AttentionMask(causal=False), memory=Memory(mb.PerLoop(), Past()).open(None))
    attention(randn(1, 1, WIDTH), frame)
    attention(randn(1, POSITIONS, WIDTH))
    assert seen == ["absorbed", "expanded"]


def test_the_mixer_reads_all_positions_or_says_that_it_cannot():
    mixer = make("attention", {"kind": "mixer", "num_positions": POSITIONS})
    x, full = randn(2, POSITIONS, WIDTH), mb.Frame(mb.AttentionMask(causal=False))
    across = x.transpose(1, 2)
    hidden = F.silu(across @ mixer.gate.weight.T) * (across @ mixer.up.weight.T)
    torch.testing.assert_close(mixer(x, full), (hidden @ mixer.down.weight.T).transpose(1, 2))
    with pytest.raises(ValueError, match="use mask: full"):
        mixer(x)
    with pytest.raises(ValueError, match="num_positions=6, and the input 5"):
        mixer(x[:, :5], full)


def depths(kind, num, **fields):
    attention = mb.Slot("depth_attention").resolve({"kind": kind, **fields}).build(WIDTH, num)
    randomise(attention, std=0.3)
    return attention, [randn(2, POSITIONS, WIDTH, seed=t) for t in range(num)]


def rotate_depth(x, t, theta):
    d = x.shape[-1]
    return rotate(x.unsqueeze(1), torch.tensor([t]), theta).squeeze(1) if d else x


def at_depth(t, page):
    return mb.Frame(t=t, index=torch.tensor(t), depth_index=torch.tensor(t), path=("core", 0), memory=page)


@torch.no_grad()
@pytest.mark.parametrize("window", [None, 2])
def test_a_token_attends_over_its_own_depths(window):
    attention, states = depths("own_token", 4, window=window)
    memory, d = Memory(mb.PerLoop(), num_depths=2).with_room(4), attention.head_dim
    for t, x in enumerate(states):
        page = memory.open(t, t)
        out = attention(x, at_depth(t, page))
        memory = page.closed()
        first = 0 if window is None else max(0, t + 1 - window)
        heads = []
        for head in range(4):
            part = slice(head * d, (head + 1) * d)
            q = rotate_depth((x @ attention.q.weight.T)[..., part].reshape(-1, d), t, 100.0)
            k = [
                rotate_depth((s @ attention.k.weight.T)[..., part].reshape(-1, d), i, 100.0)
                for i, s in enumerate(states)
            ]
            v = [(s @ attention.v.weight.T)[..., part].reshape(-1, d) for s in states]
            scores = torch.stack([(q * k[i]).sum(-1) / d**0.5 for i in range(first, t + 1)], -1).softmax(-1)
            heads.append(sum(scores[:, i - first, None] * v[i] for i in range(first, t + 1)))
        wanted = torch.cat(heads, -1).view_as(x) @ attention.out.weight.T
        torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_all_tokens_at_all_depths_share_one_softmax():
    attention, states = depths("all_tokens", 3)
    memory, d = Memory(mb.PerLoop(), num_depths=2).with_room(4), attention.head_dim
    outs = []
    for t, x in enumerate(states):
        page = memory.open(t, t)
        outs.append(attention(x, at_depth(t, page)))
        memory = page.closed()
    for t, x in enumerate(states):
        heads = []
        for head in range(4):
            part = slice(head * d, (head + 1) * d)
            q = (x @ attention.q.weight.T)[..., part]
            k, v = (
                torch.cat([(s @ w.T)[..., part] for s in states[: t + 1]], 1)
                for w in (attention.k.weight, attention.v.weight)
            )
            scores = q @ k.transpose(1, 2) / d**0.5
            future = torch.ones(POSITIONS, POSITIONS).triu(1).bool().repeat(1, t + 1)
            heads.append(scores.masked_fill(future, -torch.inf).softmax(-1) @ v)
        wanted = torch.cat(heads, -1) @ attention.out.weight.T
        torch.testing.assert_close(outs[t], wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["own_token", "all_tokens"])
def test_depth_attention_reads_earlier_iterations_in_a_loop(kind):
    made = model(4, layer={"kind": "mixture", "depth_attention": kind}, injection="add").eval()
    randomise(made, std=0.2)
    e = made.embedding(tokens())
    once = made.core.step(made.core.start(e), 0)
    again = made.core.step(once, 1)
    forgetful = made.core.step(made.core.start(e), 0)
    forgetful.memory.contents.clear()
    assert not torch.allclose(made.core.step(forgetful, 1).h, again.h, atol=1e-4)


def test_multi_head_attention_has_a_key_for_every_query_and_nothing_else_to_say_about_it():
    plain, grouped = (mb.Slot("attention").resolve(kind).component.Spec.model_fields for kind in ("mha", "gqa"))
    assert set(grouped) - set(plain) == {"num_kv_heads"}

    one, other = mb.MultiHeadAttention(24, num_heads=3), mb.GroupedQueryAttention(24, num_heads=3)
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 5, 24)
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize("kind", ["gqa", "mha"])
def test_value_embeddings_have_a_row_for_every_token_of_the_model_around(kind):
    def layer(rows):
        return {"attention": {"kind": kind, "value_embeddings": rows}}

    stack = {"depth": 1, "layer": layer(True)}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, prelude=stack, core={"layer": layer(VOCAB + 3)}, coda=stack)
    rows = [m.table.num_embeddings for m in model.modules() if isinstance(m, ValueEmbedding)]
    assert rows == [VOCAB, VOCAB + 3, VOCAB]
    with pytest.raises(ValueError, match=f"value_embeddings={VOCAB - 1} has no row .* {VOCAB} tokens"):
        mb.LoopedTransformer(VOCAB, width=WIDTH, core={"layer": layer(VOCAB - 1)})
    for off in (False, None):
        assert make("attention", {"kind": kind, "value_embeddings": off}).value_embedding is None
    with pytest.raises(ValueError, match="true takes the vocabulary of the model around"):
        make("attention", {"kind": kind, "value_embeddings": True})


def test_a_model_that_was_told_its_vocabulary_is_saved_and_loaded(tmp_path):
    core = {"layer": {"attention": {"kind": "gqa", "value_embeddings": True}}}
    save(mb.LoopedTransformer(VOCAB, width=WIDTH, core=core), tmp_path / "model.safetensors")
    attention = load_model(tmp_path / "model.safetensors").core.layers[0].attention
    assert attention.value_embedding.table.num_embeddings == VOCAB
