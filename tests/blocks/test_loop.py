"""The loop: driven from outside, its gradient window, early exit, experts."""

import pytest
import torch
import torch.nn.functional as F

import mythos_blocks as mb

TOKENS = torch.randint(0, 30, (2, 7), generator=torch.Generator().manual_seed(0))


def model(**core):
    core = {"loops": {"kind": "fixed", "num_loops": 6}, **core}
    return mb.LoopedTransformer(30, width=32, core=core)


def test_stepping_from_outside_is_the_forward_pass():
    m = model(injection="lti", depth_signal="sinusoidal", depth_adapter="depth_lora", halting="act").eval()
    e = m.embedding(TOKENS)
    state = m.core.start(e)
    for t in range(4):
        state = m.core.step(state, t, last=t == 3)
    torch.testing.assert_close(state.halting.readout, m.core(e, None, 4).halting.readout, rtol=1e-5, atol=1e-6)


def test_an_anonymous_loop_cannot_tell_orders_apart_and_one_with_a_signal_can():
    anonymous, told = model(injection="add").eval(), model(injection="add", depth_signal="learned").eval()
    for m, same in ((anonymous, True), (told, False)):
        assert torch.equal(m(TOKENS, iterations=[0, 1, 2]).logits, m(TOKENS, iterations=[2, 1, 0]).logits) is same
    assert told(TOKENS, iterations=[0, 0, 20]).logits.isfinite().all()


def test_gradients_flow_through_the_window_only():
    windowed = model(injection="lti", loops={"kind": "fixed", "num_loops": 6, "gradient_window": 2}).train()
    reference = model(injection="lti").train()
    windowed(TOKENS).logits.sum().backward()
    e = reference.embedding(TOKENS)
    state = reference.core.start(e)
    with torch.no_grad():
        for t in range(4):
            state = reference.core.step(state, t)
    for t in (4, 5):
        state = reference.core.step(state, t, last=t == 5)
    reference.read(state.halting.readout).sum().backward()
    for (name, a), (_, b) in zip(windowed.named_parameters(), reference.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5, msg=name)


def saved_bytes(m, num_loops):
    total = 0

    def pack(tensor):
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        m.train()(TOKENS, iterations=num_loops)
    return total


def test_training_memory_follows_the_window_and_not_the_loops():
    windowed = model(loops={"kind": "fixed", "num_loops": 32, "gradient_window": 2})
    assert saved_bytes(windowed, 32) == saved_bytes(windowed, 4) < saved_bytes(model(), 4)


def test_early_exit_leaves_the_logits_as_they_are():
    m = model(halting={"kind": "act", "initial_bias": 2.0}).eval()
    out = m(TOKENS, iterations=12)
    assert out.num_loops < 12
    torch.testing.assert_close(out.logits, m.train()(TOKENS, iterations=12).logits)


def test_a_frozen_state_stays_as_it_was_when_it_halted():
    m = model(halting={"kind": "act", "halted_state": "frozen", "initial_bias": 0.0}).eval()
    m.core.halting.probability.weight.data.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    state, seen = m.core.start(m.embedding(TOKENS)), 0
    for t in range(6):
        halted, before = state.halting.halted, state.h
        state = m.core.step(state, t)
        assert torch.equal(state.h[halted], before[halted])
        seen += int(halted.sum())
    assert seen > 0


def plain_experts(moe, x):
    tokens = x.flatten(0, -2)
    logits = moe.router(tokens)
    chosen = (logits + moe.bias).topk(moe.num_active).indices
    scores = logits.softmax(-1).gather(-1, chosen)
    scores = scores / scores.sum(-1, keepdim=True)
    out = sum(expert(tokens) for expert in moe.shared)
    rows = []
    for token, picks, weights in zip(tokens, chosen, scores, strict=True):
        rows.append(
            sum(
                w * (F.silu(token @ moe.gate[i].T) * (token @ moe.up[i].T)) @ moe.down[i].T
                for i, w in zip(picks, weights, strict=True)
            )
        )
    return (out + torch.stack(rows)).view_as(x)


def test_grouped_dispatch_is_the_plain_loop_over_experts():
    moe = mb.MixtureOfExperts(32, num_experts=6, num_active=2)
    for parameter in moe.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    moe.bias[3] = -1e9  # an expert without tokens
    x = torch.randn(2, 5, 32, requires_grad=True)
    for function in (moe, lambda t: plain_experts(moe, t)):
        out = function(x)
        gradients = torch.autograd.grad(out.sin().sum(), [x, *moe.parameters()])
        if function is moe:
            kept = (out, *gradients)
        else:
            for a, b in zip(kept, (out, *gradients), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert moe.load[3] == 0 and moe.load.sum() == 2 * 2 * 5


def test_the_selection_bias_moves_against_the_load():
    moe = mb.MixtureOfExperts(16, num_experts=4, num_active=1, bias_update_rate=0.1)
    moe.load[:] = torch.tensor([9.0, 1.0, 1.0, 1.0])
    moe.after_step()
    torch.testing.assert_close(moe.bias, torch.tensor([-0.1, 0.1, 0.1, 0.1]))
    assert not moe.load.any()


@pytest.mark.parametrize("grad", [True, False])
def test_what_the_core_reads_is_made_once_an_iteration(grad, monkeypatch):
    built, calls = model(injection="concat").eval(), []
    combine = type(built.core.injection).combine
    monkeypatch.setattr(type(built.core.injection), "combine", lambda *a, **k: calls.append(1) or combine(*a, **k))
    with torch.set_grad_enabled(grad):
        built(TOKENS, iterations=5)
    assert len(calls) == 5
