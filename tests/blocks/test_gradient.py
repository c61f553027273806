"""Which iterations are differentiated, and the gradient of a fixed point."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import model, randomise, tokens


def gradients(made, num_loops=6):
    made.zero_grad()
    made.train()(tokens(), iterations=num_loops).logits.sin().sum().backward()
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


def with_policy(gradient, std=0.2, **core):
    made = model(6, injection="add", gradient=gradient, **core)
    randomise(made, std=std)
    return made


@pytest.mark.parametrize("gradient, window", [({"kind": "last", "num_loops": 2}, 2), ("one_step", 1)])
def test_truncated_policies_are_windows(gradient, window):
    plain = model(loops={"kind": "fixed", "num_loops": 6, "gradient_window": window}, injection="add")
    randomise(plain, std=0.2)
    wanted = gradients(plain)
    for name, value in gradients(with_policy(gradient)).items():
        torch.testing.assert_close(value, wanted[name])


def test_segments_are_detached_from_one_another():
    made = with_policy({"kind": "segments", "length": 2})
    ours = gradients(made)
    made.zero_grad()
    state = made.core.start(made.embedding(tokens()))
    for t in range(6):
        if t in (2, 4):
            state = mb.LoopState(**{**vars(state), "h": state.h.detach(), "x": None})
        state = made.core.step(state, t, last=t == 5)
    made.read(state.halting.readout).sin().sum().backward()
    for name, parameter in made.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad)
    whole = gradients(with_policy("window"))
    assert not torch.allclose(whole["core.layers.0.attention.q.weight"], ours["core.layers.0.attention.q.weight"])


def test_a_window_is_declared_once():
    for gradient in ("one_step", "segments", "implicit", {"kind": "last", "num_loops": 2}):
        with pytest.raises(ValueError, match="both say which iterations"):
            model(loops={"kind": "fixed", "num_loops": 4, "gradient_window": 2}, gradient=gradient)
    with pytest.raises(ValueError, match="needs the last state"):
        model(gradient="implicit", halting="act")


class Contraction(mb.Update):
    """A small linear map of state and output, so that the loop has one fixed point."""

    def __init__(self, width):
        super().__init__()
        self.map = torch.nn.Linear(2 * width, width)

    def forward(self, h, u, carry, t):
        return torch.tanh(self.map(torch.cat((h, u), dim=-1))), None


def settled(gradient, num_loops):
    made = model(num_loops, injection="add", gradient=gradient, update="outer_norm").double()
    made.core.update = Contraction(32).double()
    randomise(made, std=0.03)
    return made


def test_the_implicit_gradient_is_that_of_long_back_propagation_at_a_fixed_point():
    explicit, implicit = (
        settled(g, 60) for g in ("window", {"kind": "implicit", "num_iterations": 60, "tolerance": 0.0})
    )
    wanted, ours = gradients(explicit, 60), gradients(implicit, 60)
    assert set(ours) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-6, atol=1e-9, msg=name)


def test_the_implicit_gradient_solves_the_linear_system():
    made = settled({"kind": "implicit", "num_iterations": 80, "tolerance": 0.0}, 60)
    e = made.embedding(tokens(1, 2)).detach().requires_grad_()
    h = made.train().core(e, None, 60).h
    v = torch.randn(h.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (ours,) = torch.autograd.grad(h, e, v, retain_graph=True)

    state = made.core.start(e)
    at = h.detach().requires_grad_()
    after = made.core.next_state(state, at)
    jacobian = torch.stack(
        [torch.autograd.grad(after.flatten()[i], at, retain_graph=True)[0].flatten() for i in range(after.numel())]
    )
    g = torch.linalg.solve(torch.eye(len(jacobian), dtype=torch.float64) - jacobian.T, v.flatten())
    (wanted,) = torch.autograd.grad(after, e, g.view_as(after))
    torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=1e-10)


def test_implicit_memory_does_not_grow_with_the_loops():
    def kept(num_loops):
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.numel()
            return tensor

        made = settled("implicit", num_loops).train()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            made(tokens())
        return total

    assert kept(40) == kept(4)
