"""Ours and a published system's rendering, side by side from one state."""

from dataclasses import replace

import torch

from mythos_blocks import Frame

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}
"""Of logits. Float64 holds where a loop of random weights multiplies float32's rounding errors."""


@torch.no_grad()
def randomised(model, seed=0, gain=1.0):
    """The model with every weight random, the gains and other vectors among them."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 2:
            parameter.copy_(gain * noise * parameter.shape[-1] ** -0.5)
        else:
            parameter.add_(0.3 * noise)
    return model


def logits_from(model, tokens, state, num_loops):
    """The logits of ours after ``num_loops`` iterations from ``state``: the loop, driven from outside."""
    frame = Frame(tokens=tokens)
    e = model.prelude(model.embedding(tokens) * model.embedding_scale, frame.at("prelude"))
    loop = replace(model.core.start(e, frame), h=state)
    for t in range(num_loops):
        loop = model.core.step(loop, t)
    return model.read(loop.h, frame)


def error(value, wanted):
    """The largest difference against the largest value."""
    return float((value - wanted).abs().max() / wanted.abs().max())


def check_gradients(theirs, mine, translation, tokens, state, num_loops):
    """Every parameter's gradient, and the initial state's, against the rendering's, in float64.

    A gradient is a sum over positions and iterations that may cancel, so float32 would be held to what it rounds.
    """
    assert {p.dtype for model in (theirs, mine) for p in model.parameters()} == {torch.float64}
    direction = torch.randn(*tokens.shape, translation.vocab_size, generator=torch.Generator().manual_seed(2))
    states = [state.clone().requires_grad_() for _ in range(2)]
    (theirs(tokens, states[0], num_loops) * direction).sum().backward()
    (logits_from(mine, tokens, states[1], num_loops) * direction).sum().backward()

    assert error(states[1].grad, states[0].grad) <= 1e-10
    gradients = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    wanted = translation.apply(gradients, partial=True)
    assert set(wanted) == {name for name, _ in mine.named_parameters()}
    for name, parameter in mine.named_parameters():
        assert error(parameter.grad, wanted[name]) <= 1e-10, name
