"""What objectives and penalties are: scalars that reach the model and leave out what is not scored."""

from __future__ import annotations

import torch

import mythos_blocks as mb
from mythos_blocks.objective.base import IGNORE
from mythos_blocks.testing.case import Case, contract, model_with, randomise, tokens


@contract("objective", "penalty")
def it_is_a_number_that_reaches_the_model(case: Case) -> None:
    """The loss is a finite scalar, and some parameter of the model gets gradient from it."""
    part, model = case.alone(), _model(case)
    part.check(model)
    loss = _loss(case, part, model, _targets())
    assert loss.shape == () and loss.isfinite(), f"expected a finite scalar, found {loss}"
    loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters()), "no gradient reaches the model"


@contract("objective")
def what_is_not_scored_does_not_count(case: Case) -> None:
    """A token at an ignored position that no scored one reads changes nothing."""
    part, model = case.alone(), _model(case)
    changed = tokens()
    changed[:, -1] = (changed[:, -1] + 1) % 7
    with torch.no_grad():
        one, other = (_loss(case, part, model, _targets(), read) for read in (tokens(), changed))
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def _model(case: Case) -> mb.LoopedTransformer:
    model = model_with("update", "replace", **case.core)
    randomise(model, std=0.1)
    return model


def _targets() -> torch.Tensor:
    targets = tokens().clone()
    targets[:, -2:] = IGNORE
    return targets


def _loss(
    case: Case,
    part: mb.Objective | mb.Penalty,
    model: mb.LoopedTransformer,
    targets: torch.Tensor,
    read: torch.Tensor | None = None,
) -> torch.Tensor:
    out = model(tokens() if read is None else read, case.mask, 3, record=True)
    made = part.loss(model, out, targets)
    return made[0] if isinstance(made, tuple) else made
