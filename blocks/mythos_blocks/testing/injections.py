"""What an injection says of its linear part, and what its fused step is."""

from __future__ import annotations

import torch

from mythos_blocks.testing.case import WIDTH, Case, contract


@contract("injection")
def its_rho_is_that_of_its_linear_part(case: Case) -> None:
    """``rho`` is the spectral radius of ``linear_part``, which is what ``inject`` or ``combine`` does to h alone."""
    for dtype in (torch.float32, torch.bfloat16):
        injection = case.model().core.injection.to(dtype)
        for parameter in injection.parameters():
            parameter.data += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)).to(dtype) / 2
        h = torch.randn(WIDTH, generator=torch.Generator().manual_seed(1))
        if (rho := injection.rho()) is None:
            assert injection.linear_part(h.to(dtype)) is None, "a linear part without a rho"
            continue
        jacobian = torch.autograd.functional.jacobian(injection.linear_part, h.to(dtype))
        measured = torch.linalg.eigvals(jacobian.float()).abs().max()
        tolerance = 1e-2 if dtype is torch.bfloat16 else 1e-5
        torch.testing.assert_close(measured, rho.float(), rtol=tolerance, atol=0)
        zero, injection = torch.zeros(WIDTH), injection.float()
        carried, reached = injection.linear_part(h), (injection.inject(h, zero, zero), injection.combine(h, zero, None))
        assert carried is not None, "a rho without a linear part"
        alike = [torch.allclose(carried, one, atol=1e-6) for one in reached]
        assert any(alike), "linear_part is not what inject or combine does to h"


@contract("injection")
def its_rho_stays_below_one_after_a_huge_step(case: Case) -> None:
    """Whatever the optimiser does, the state that is carried on does not grow, in any dtype."""
    for step in (1e3, -1e3):
        injection = case.model().core.injection
        for parameter in injection.parameters():
            parameter.data += step
        rho = injection.rho()
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            assert rho is None or rho.to(dtype) < 1, f"rho {float(rho)} after a step of {step:g}, in {dtype}"


@contract("injection")
def advance_is_inject_then_combine(case: Case) -> None:
    """The fused step has the values and the gradients of the two that it joins, in early iterations and late ones."""
    injection = case.model().core.injection
    generator = torch.Generator().manual_seed(2)
    for t in (0, 3):
        h, e, y = (torch.randn(2, 3, WIDTH, generator=generator).requires_grad_() for _ in range(3))
        signal = torch.randn(WIDTH, generator=generator)
        fused = injection.advance(h, e, y, signal, t, t + 1)
        stepped = injection.inject(h, e, y, t)
        plain = (stepped, injection.combine(stepped, e, signal, t + 1))
        gradients = [
            torch.autograd.grad((a.sin() + b.cos()).sum(), (h, e, y), retain_graph=True, allow_unused=True)
            for a, b in (fused, plain)
        ]
        for one, other in zip((*fused, *gradients[0]), (*plain, *gradients[1]), strict=True):
            assert (one is None) == (other is None), "a gradient is there on one of the two ways"
            if one is not None:
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
