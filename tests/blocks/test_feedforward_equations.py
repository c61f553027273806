"""Feed-forwards against their equations, rendered plainly in float64, forward and backward."""

import math

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.frame.losses import Losses
from mythos_blocks.frame.memory import Memory
from tests.blocks.parts import WIDTH, make, randn


def silu(x):
    return x / (1 + torch.exp(-x))


def exact(kind, **fields):
    return make("feedforward", {"kind": kind, **fields}).double()


def same_with_gradients(module, ours, plain, x):
    inputs = {"x": x, **dict(module.named_parameters())}
    direction = randn(*x.shape, seed=9).to(x.dtype)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad((out * direction).sum(), list(inputs.values())) for out in (ours, plain)]
    for name, one, other in zip(inputs, *grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8, msg=lambda m, name=name: f"{name}: {m}")
        assert other.any(), name


def swiglu(ff, x):
    return (silu(x @ ff.gate.weight.T) * (x @ ff.up.weight.T)) @ ff.down.weight.T


def relu2(ff, x):
    return ff.factor * (x @ ff.up.weight.T).clamp_min(0) ** 2 @ ff.down.weight.T


def gelu(ff, x):
    inner = x @ ff.up.weight.T + ff.up.bias
    return inner * (1 + torch.erf(inner / math.sqrt(2))) / 2 @ ff.down.weight.T + ff.down.bias


def relu(ff, x):
    inner = x @ ff.up.weight.T
    return torch.where(inner > 0, inner, 0) @ ff.down.weight.T


@pytest.mark.parametrize(
    ("declared", "plain"),
    [
        ({"kind": "swiglu"}, swiglu),
        ({"kind": "swiglu", "hidden": 5}, swiglu),
        ({"kind": "relu2"}, relu2),
        ({"kind": "relu2", "factor": 0.5, "hidden": 7}, relu2),
        ({"kind": "gelu"}, gelu),
        ({"kind": "gelu", "activation": "relu", "bias": False}, relu),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_dense_feedforwards(declared, plain):
    feedforward = exact(**declared)
    x = randn(2, 3, WIDTH).double().requires_grad_()
    same_with_gradients(feedforward, feedforward(x), plain(feedforward, x), x)


def test_inner_channels_are_as_many_as_declared():
    for kind, hidden in (("swiglu", 4 * WIDTH // 3), ("relu2", 4 * WIDTH), ("gelu", 4 * WIDTH)):
        assert make("feedforward", kind).down.in_features == hidden
        assert make("feedforward", {"kind": kind, "hidden": 5}).down.in_features == 5
    assert make("feedforward", "moe").down.shape == (8, WIDTH, WIDTH // 2)


def test_gelu_drops_inner_channels_in_training_only():
    feedforward = make("feedforward", {"kind": "gelu", "dropout": 0.5, "hidden": 4})
    x = randn(1, 1, WIDTH)
    with torch.no_grad():
        inner = torch.nn.functional.gelu(feedforward.up(x)).flatten()
        torch.testing.assert_close(feedforward.eval()(x), gelu(feedforward, x))
        out = feedforward.train()(x).flatten()
    subsets = [torch.tensor([i >> c & 1 for c in range(4)]) for i in range(16)]
    possible = [(2 * kept * inner) @ feedforward.down.weight.T + feedforward.down.bias for kept in subsets]
    assert any(torch.allclose(out, wanted, atol=1e-5) for wanted in possible)


def expert(ff, i, x):
    return ff.down[i] @ (silu(ff.gate[i] @ x) * (ff.up[i] @ x))


def routed(moe, x, t=None):
    """One token after the other."""
    rows = []
    for token in x.flatten(0, -2):
        logits = moe.router.weight @ token
        if moe.depth_logits is not None:
            logits = logits + moe.depth_logits[t]
        if moe.score == "softmax":
            scores, preference = torch.exp(logits) / torch.exp(logits).sum(), logits + moe.bias
        else:
            scores = 1 / (1 + torch.exp(-logits))
            preference = scores + moe.bias
        ranked = sorted(range(moe.num_experts), key=lambda i: -preference[i].item())[: moe.num_active]
        out = sum(scores[i] / sum(scores[j] for j in ranked) * expert(moe, i, token) for i in ranked)
        rows.append(out + sum(swiglu(shared, token) for shared in moe.shared))
    return torch.stack(rows).view_as(x)


BIAS = torch.tensor([0.4, -0.3, 0.0, 0.2, -0.1])


@pytest.mark.parametrize("num_shared", [0, 2])
@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_a_mixture_weighs_the_chosen_experts_by_their_scores_without_the_bias(score, num_shared):
    moe = exact("moe", num_experts=5, num_active=2, num_shared=num_shared, score=score, expert_hidden=6)
    moe.bias.copy_(BIAS)
    x = randn(2, 6, WIDTH).double().requires_grad_()
    same_with_gradients(moe, moe(x), routed(moe, x), x)


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_the_bias_is_added_to_logits_with_softmax_and_to_scores_with_sigmoid(score):
    moe = exact("moe", num_experts=2, num_active=1, num_shared=0, score=score)
    x = randn(1, 1, WIDTH).double()
    moe.router.weight.data = torch.stack((4 * x[0, 0], x[0, 0])) / x.square().sum()  # logits 4 and 1
    moe.bias[:] = torch.tensor([0.0, 1.0])
    chosen = 0 if score == "softmax" else 1  # 4 against 2, and 0.98 against 1.73
    torch.testing.assert_close(moe(x)[0, 0], expert(moe, chosen, x[0, 0]))


def test_every_iteration_has_its_own_row_of_the_router():
    moe = mb.MixtureOfExperts(WIDTH, max_loops=3, num_experts=5, depth_conditioned=True).double()
    for seed, parameter in enumerate(moe.parameters()):
        parameter.data.normal_(std=0.5, generator=torch.Generator().manual_seed(seed))
    x = randn(1, 6, WIDTH).double()
    outs = {t: moe(x, mb.Frame(t=t, index=None if t is None else torch.tensor(t))) for t in (None, 0, 1, 2, 9)}
    for t, index in ((None, 0), (0, 0), (1, 1), (2, 2), (9, 2)):
        torch.testing.assert_close(outs[t], routed(moe, x, index))
    assert not torch.allclose(outs[0], outs[1]) and not torch.allclose(outs[1], outs[2])
    outs[1].sum().backward()
    assert moe.depth_logits.grad[1].any() and not moe.depth_logits.grad[[0, 2]].any()


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_the_balance_loss_is_the_product_of_token_shares_and_mean_probabilities(score):
    moe = exact("moe", num_experts=5, num_active=2, score=score, balance_weight=0.25)
    x, left = randn(2, 6, WIDTH).double(), {}
    moe(x, mb.Frame(statistics=left))
    losses = Losses().after([left]).means()
    logits = x.flatten(0, 1) @ moe.router.weight.T
    scores = logits.softmax(-1) if score == "softmax" else logits.sigmoid()
    share, probability = [0.0] * 5, (scores / scores.sum(-1, keepdim=True)).mean(0)
    for token in logits:
        for i in token.topk(2).indices:
            share[i] += 1 / (12 * 2)
    wanted = 0.25 * 5 * sum(f * p for f, p in zip(share, probability, strict=True))
    assert set(losses) == {"balance"}
    torch.testing.assert_close(losses["balance"].double(), wanted, rtol=1e-5, atol=0)
    losses["balance"].backward()
    assert moe.router.weight.grad.any()


def test_the_balance_loss_is_one_when_even_and_the_number_of_experts_when_one_takes_all():
    moe = make("feedforward", {"kind": "moe", "num_experts": 4, "num_active": 1})

    def balance(chosen, probabilities):
        left = {}
        moe.add_balance_loss(mb.Frame(statistics=left), 1.0, chosen, probabilities, torch.ones(8, 1))
        return Losses().after([left]).means()["balance"]

    even = balance(torch.arange(8).view(8, 1) % 4, torch.full((8, 4), 0.25))
    alone = balance(torch.zeros(8, 1, dtype=torch.long), torch.eye(4)[:1].expand(8, 4))
    assert float(even) == pytest.approx(1) and float(alone) == pytest.approx(4)


def test_the_router_z_loss_is_the_mean_squared_log_normaliser():
    moe = exact("moe", num_experts=5, z_weight=0.1)
    x, left = randn(2, 6, WIDTH).double(), {}
    moe(x, mb.Frame(statistics=left))
    losses = Losses().after([left]).means()
    logits = x.flatten(0, 1) @ moe.router.weight.T
    wanted = 0.1 * sum(token.detach().logsumexp(0).item() ** 2 for token in logits) / 12
    assert set(losses) == {"router_z"}
    assert losses["router_z"].item() == pytest.approx(wanted, rel=1e-5)


def test_losses_of_weight_zero_are_not_added():
    left = {}
    make("feedforward", "moe")(randn(1, 3, WIDTH), mb.Frame(statistics=left))
    assert left == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_active", [1, 3])
def test_grouped_dispatch_is_the_plain_one_forward_and_backward(num_active, dtype):
    moe = make("feedforward", {"kind": "moe", "num_experts": 4, "num_active": num_active, "num_shared": 0}).to(dtype)
    tokens = randn(9, WIDTH).to(dtype).requires_grad_()
    weights = randn(9, num_active, seed=1).to(dtype).requires_grad_()
    chosen = randn(9, 4, seed=2)[:, :3].topk(num_active).indices  # the last expert has no tokens
    inputs, results = (tokens, weights, moe.gate, moe.up, moe.down), []
    for dispatch in (moe.dispatch, moe.dispatch_plainly):
        out = dispatch(tokens, chosen, weights)
        grads = torch.autograd.grad((out * randn(9, WIDTH, seed=3)).sum(), inputs)
        results.append((out, *grads))
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)
    assert not results[0][3][3].any() and results[0][3][0].any()


def test_the_selection_bias_moves_towards_the_mean_load():
    moe = make("feedforward", {"kind": "moe", "num_experts": 4, "bias_update_rate": 0.01})
    moe.load.copy_(torch.tensor([9, 0, 4, 3]))
    moe.after_step()
    torch.testing.assert_close(moe.bias, torch.tensor([-0.01, 0.01, 0.0, 0.01]))
    assert not moe.load.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["moe", "expert_attention"])
def test_the_selection_bias_stays_float32_and_exact_when_the_model_is_cast(kind, dtype):
    feedforward = make("feedforward", {"kind": kind, "bias_update_rate": 1e-3})
    feedforward.bias.fill_(1.0)
    feedforward.to(dtype)
    feedforward.load[0] = 8
    feedforward.after_step()
    assert feedforward.bias.dtype is torch.float32 and feedforward.gate.dtype is dtype
    torch.testing.assert_close(feedforward.bias, torch.tensor([0.999] + [1.001] * 7), rtol=1e-6, atol=0)


def attended(ff, x, t):
    """One token after the other."""
    size, rows = ff.keys.shape[1], []
    for token in x.flatten(0, -2):
        query = ff.query.weight @ token
        query = query / (query.square().mean() + torch.finfo(query.dtype).eps).sqrt()
        turned = []
        for i in range(size // 2):
            angle = t * 100.0 ** (-2 * i / size)
            a, b = query[2 * i], query[2 * i + 1]
            turned += [a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)]
        s = ff.keys @ torch.stack(turned) / math.sqrt(size)
        kept = sorted(range(ff.num_experts), key=lambda i: -(s[i] + ff.bias[i]).item())[: ff.num_active]
        share = {i: 1 / (1 + torch.exp(-s[i])) for i in kept}
        rows.append(sum(share[i] / sum(share.values()) * expert(ff, i, token) for i in kept))
    return torch.stack(rows).view_as(x)


@pytest.mark.parametrize("t", [0, 3])
def test_expert_attention_weighs_the_experts_by_their_keys(t):
    feedforward = exact("expert_attention", num_experts=5, num_active=3, key_dim=6, expert_hidden=7)
    feedforward.bias.copy_(BIAS)
    x = randn(2, 3, WIDTH).double().requires_grad_()
    inputs = {"x": x, **dict(feedforward.named_parameters())}
    results = []
    for out in (feedforward(x, mb.Frame(t=t, index=torch.tensor(t))), attended(feedforward, x, t)):
        results.append((out, *torch.autograd.grad((out * randn(2, 3, WIDTH, seed=9)).sum(), list(inputs.values()))))
    for name, ours, wanted in zip(["out", *inputs], *results, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


def test_expert_attention_reads_the_iteration():
    feedforward, x = make("feedforward", "expert_attention"), randn(1, 4, WIDTH)
    first, fourth = (feedforward(x, mb.Frame(t=t, index=None if t is None else torch.tensor(t))) for t in (0, 3))
    assert torch.equal(feedforward(x), first) and not torch.allclose(first, fourth, atol=1e-3)


def convolved(ff, x):
    """Position by position, with zeros before the first."""

    def depthwise(sequence, kernel):
        width, size = kernel.shape[0], kernel.shape[-1]
        out = []
        for i in range(len(sequence)):
            read = [(j, i - (size - 1) + j) for j in range(size)]
            terms = [kernel[:, 0, j] * sequence[k] for j, k in read if k >= 0]
            out.append(sum(terms, torch.zeros(width, dtype=sequence[0].dtype)))
        return out

    first, second = ff.first_pointwise, ff.second_pointwise
    rows = []
    for sequence in x:
        h = [first.weight @ y + first.bias for y in depthwise(list(sequence), ff.first_depthwise.weight)]
        h = depthwise([y.clamp_min(0) for y in h], ff.second_depthwise.weight)
        rows.append(torch.stack([second.weight @ y + second.bias for y in h]))
    return torch.stack(rows)


@pytest.mark.parametrize("kernels", [(3, 5), (1, 1), (4, 2)])
def test_separable_convolutions(kernels):
    first, second = kernels
    convolution = exact("separable_convolution", hidden=6, first_kernel=first, second_kernel=second)
    x = randn(2, 9, WIDTH).double().requires_grad_()
    same_with_gradients(convolution, convolution(x), convolved(convolution, x), x)


@torch.no_grad()
def test_a_convolution_reads_as_far_back_as_its_kernels_and_nothing_later():
    convolution, x = exact("separable_convolution"), randn(1, 16, WIDTH).double()
    changed = x.clone()
    changed[:, 5] += 1
    moved = (convolution(changed) - convolution(x)).abs().amax((0, 2)) > 0
    assert moved.tolist() == [5 <= i <= 5 + (3 - 1) + (5 - 1) for i in range(16)]


@torch.no_grad()
@pytest.mark.parametrize("chunks", [[1] * 12, [5, 1, 6], [2, 9, 1]], ids=str)
def test_a_convolution_in_chunks_is_the_whole_one(chunks):
    convolution, x = exact("separable_convolution"), randn(2, 12, WIDTH).double()
    cache, outs, start = mb.Cache(2), [], 0
    for size in chunks:
        mask, positions = cache.begin(size)
        frame = mb.Frame(mask, positions, memory=Memory(mb.PerLoop(), cache).open(0), path=("core", 0), t=0)
        outs.append(convolution(x[:, start : start + size], frame))
        cache.commit(size)
        start += size
    torch.testing.assert_close(torch.cat(outs, 1), convolution(x))
