"""Every feed-forward computes each position on its own; experts are dispatched, counted and balanced."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import mythos_blocks as mb
from tests.blocks.parts import WIDTH, declarations, make, model, randn, tokens

FEEDFORWARD = [declared for _, declared in declarations("feedforward")]
APART = [declared for declared in FEEDFORWARD if declared["kind"] != "separable_convolution"]


@torch.no_grad()
@pytest.mark.parametrize("declared", APART, ids=str)
def test_positions_are_computed_apart(declared):
    feedforward, x = make("feedforward", declared).eval(), randn(2, 7, WIDTH)
    changed = x.clone()
    changed[:, 3] += randn(WIDTH, seed=1)

    difference = (feedforward(changed) - feedforward(x)).abs().amax((0, 2))

    assert difference[3] > 0.1
    assert difference[[0, 1, 2, 4, 5, 6]].max() <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("declared", APART, ids=str)
def test_positions_may_be_permuted(declared):
    feedforward, x, order = make("feedforward", declared).eval(), randn(2, 7, WIDTH), [6, 0, 3, 1, 5, 2, 4]

    torch.testing.assert_close(feedforward(x[:, order]), feedforward(x)[:, order])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("declared", FEEDFORWARD, ids=str)
def test_every_parameter_gets_gradient(declared, dtype):
    feedforward = make("feedforward", declared).to(dtype)

    out = feedforward(randn(8, 16, WIDTH).to(dtype).requires_grad_())
    out.square().sum().backward()

    assert out.shape == (8, 16, WIDTH) and out.dtype is dtype
    for name, parameter in feedforward.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if name == "router.weight" and feedforward.num_active == 1:
            continue  # the one score is renormalised to 1, whatever the router says
        assert parameter.grad.any(), name


def reference(moe: mb.MixtureOfExperts, x: torch.Tensor) -> torch.Tensor:
    """The definition: for each expert, the tokens that chose it."""
    flat = x.reshape(-1, x.shape[-1])
    logits = flat @ moe.router.weight.T
    scores = logits.softmax(-1)
    chosen = torch.zeros_like(logits).scatter(-1, (logits + moe.bias).topk(moe.num_active).indices, 1.0)
    weights = scores * chosen
    weights = weights / weights.sum(-1, keepdim=True)
    out = torch.zeros_like(flat)
    for i in range(moe.num_experts):
        hidden = F.silu(flat @ moe.gate[i].T) * (flat @ moe.up[i].T)
        out = out + weights[:, i : i + 1] * (hidden @ moe.down[i].T)
    for expert in moe.shared:
        out = out + (F.silu(flat @ expert.gate.weight.T) * (flat @ expert.up.weight.T)) @ expert.down.weight.T
    return out.view_as(x)


@pytest.mark.parametrize("num_tokens", [1, 3, 64])
@pytest.mark.parametrize("empty", [(), (0,), (5,), (1, 2, 3, 4)], ids=lambda e: f"without tokens: {list(e)}")
def test_grouped_dispatch_is_each_expert_on_its_own_tokens_forward_and_backward(empty, num_tokens):
    moe = make("feedforward", {"kind": "moe", "num_experts": 6, "num_active": 2, "num_shared": 2})
    moe.bias[list(empty)] = -1e4
    x = randn(1, num_tokens, WIDTH).requires_grad_()
    direction = randn(1, num_tokens, WIDTH, seed=1)
    inputs = {"x": x, **dict(moe.named_parameters())}

    outputs = [moe(x), reference(moe, x)]

    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    grads = [torch.autograd.grad((out * direction).sum(), list(inputs.values())) for out in outputs]
    for name, ours, wanted in zip(inputs, *grads, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
    assert all(not moe.load[i] for i in empty) and moe.load.sum() == 2 * num_tokens
    assert all(not grads[0][list(inputs).index("up")][i].any() for i in empty)


def test_load_is_counted_in_training_alone_over_every_loop():
    built = model(num_loops=3, layer={"feedforward": {"kind": "moe", "num_active": 2}})
    moe = built.core.layers[0].feedforward

    built.eval()(tokens())
    assert not moe.load.any()
    built.train()(tokens())
    assert moe.load.sum() == 3 * 2 * tokens().numel()


def test_after_an_optimizer_step_overloaded_experts_are_chosen_less():
    built = model(num_loops=1, layer={"feedforward": {"kind": "moe", "bias_update_rate": 0.05}})
    moe = built.core.layers[0].feedforward
    torch.nn.init.normal_(moe.router.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    ids, spreads = tokens(8, 16), []

    for _ in range(60):
        built(ids)
        load, before = moe.load.float(), moe.bias.clone()
        spreads.append(float(load.std() / load.mean()))
        built.after_optimizer_step()
        torch.testing.assert_close(moe.bias - before, 0.05 * (load.mean() - load).sign())
        assert not moe.load.any()

    assert spreads[0] > 0.4 and spreads[-1] < spreads[0] / 3


def test_no_step_moves_the_bias_at_rate_zero_or_without_tokens():
    still = make("feedforward", {"kind": "moe", "bias_update_rate": 0.0})
    still(randn(1, 9, WIDTH))
    still.after_step()
    unused = make("feedforward", "moe")
    unused.after_step()

    assert not still.bias.any() and not still.load.any() and not unused.bias.any()


def test_the_bias_moves_the_choice_and_never_the_weights():
    moe = make("feedforward", {"kind": "moe", "num_experts": 2, "num_active": 2, "num_shared": 0})
    x = randn(1, 5, WIDTH)
    before = moe(x)
    moe.bias[:] = torch.tensor([3.0, -3.0])

    torch.testing.assert_close(moe(x), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_load_is_exact_in_half_precision(dtype):
    moe = make("feedforward", {"kind": "moe", "num_active": 1}).to(dtype)
    x = randn(1, 5001, WIDTH).to(dtype)

    for _ in range(5):
        moe(x)

    assert float(moe.load.double().sum()) == 5 * 5001


def test_the_bias_is_kept_with_the_weights_and_the_load_is_not():
    assert {"bias"} == {name for name in make("feedforward", "moe").state_dict() if name in ("bias", "load")}


@pytest.mark.parametrize("declared", ["moe", "expert_attention"])
def test_the_bias_bounds_the_load_of_a_router_that_prefers_one_expert(declared):
    spec = {"kind": declared, "num_experts": 8, "num_active": 2, "bias_update_rate": 0.05}
    feedforward = make("feedforward", spec).train()
    x = randn(8, 32, WIDTH) + 2 * randn(1, 1, WIDTH, seed=9)  # a common direction, which some experts take

    def shares():
        with torch.no_grad():
            feedforward(x)
        return feedforward.load / feedforward.load.sum()

    first = shares()
    for _ in range(200):
        feedforward.after_step()
        last = shares()
    assert first.max() > 0.3 or first.min() < 0.01
    assert last.max() < 0.25 and last.min() > 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width, hidden", [(30, 15), (36, 6), (32, 10)])
def test_experts_of_any_size_are_the_plain_loop_over_them(width, hidden, dtype):
    moe = mb.MixtureOfExperts(width, num_experts=4, expert_hidden=hidden).to(dtype)
    x = randn(7, width).to(dtype)
    chosen = moe.choose(moe.router(x))
    weights = torch.full(chosen.shape, 0.5, dtype=dtype)
    results = []
    for dispatch in (moe.dispatch, moe.dispatch_plainly):
        y = x.clone().requires_grad_()
        out = dispatch(y, chosen, weights)
        results.append((out, *torch.autograd.grad(out.sum(), [y, moe.gate, moe.up, moe.down])))
    tolerance = 1e-5 if dtype is torch.float32 else 0.05
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


class Widest(TorchDispatchMode):
    """How many numbers the operations make that return so many rows at least, views left out."""

    def __init__(self, num_rows):
        super().__init__()
        self.num_rows, self.num = num_rows, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not func.is_view and out.dim() == 2 and len(out) >= self.num_rows:
            self.num += out.numel()
        return out


def test_what_experts_make_of_all_rows_does_not_grow_with_their_number():
    """Forward and backward: each expert's rows are a part of one split, not a slice with a gradient of all rows."""
    made = []
    for num_experts in (4, 16):
        moe = mb.MixtureOfExperts(WIDTH, num_experts=num_experts, num_active=2, num_shared=0)
        chosen = torch.stack([torch.arange(64) % num_experts, (torch.arange(64) + 1) % num_experts], dim=1)
        x, weights = randn(64, WIDTH).requires_grad_(), torch.full((64, 2), 0.5)
        with Widest(2 * 64) as counter:
            moe.dispatch(x, chosen, weights).sum().backward()
        made.append(counter.num)
    assert made[0] == made[1] > 0


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_scores_that_round_to_zero_still_have_weights(score):
    moe = mb.MixtureOfExperts(WIDTH, num_experts=3, num_active=2, num_shared=0, score=score)
    moe.router.weight.data.zero_()
    moe.router.weight.data[:, 0] = torch.tensor([110.0, -110.0, -110.0])
    moe.bias[0] = -1e4  # the one expert with a score is not chosen
    x = torch.zeros(1, 1, WIDTH)
    x[..., 0] = 1.0
    assert moe(x).isfinite().all() and moe(x).any()


def test_the_identity_leaves_a_layer_that_only_attends():
    """x + norm(x) after attention, as in zoology: the norm still learns."""
    model = mb.LoopedTransformer(11, width=16, core={"layer": {"feedforward": "identity"}})
    layer = model.core.layers[0]
    x = randn(2, 5, 16)
    torch.testing.assert_close(layer.feedforward(x), x)
    assert not [name for name, _ in model.named_parameters() if ".feedforward." in name]
    model(torch.zeros(1, 4, dtype=torch.long)).logits.square().sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
