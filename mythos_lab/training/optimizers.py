"""Optimisers, as components."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks import Component, component, declare_slot
from mythos_blocks.declaring.types import NonNegative, Positive
from mythos_blocks.model.growth import Sides
from mythos_lab.recipe.parameters import Parameters

declare_slot("optimizer", "What turns gradients into steps.")

Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Component):
    """Wraps a torch optimiser.

    Attributes:
        torch: The optimiser.
    """

    torch: torch.optim.Optimizer

    def rate_by_width(self, parameter: Tensor, sides: Sides) -> float:
        """The learning rate of a parameter over that at the model's base (``mup_base``), by how its sides have grown.

        Raises:
            ValueError: No rule is known for this optimiser.
        """
        raise ValueError(
            f"training.optimizer={self.kind}: no rule says how its rates follow from model.mup_base; adamw and muon "
            "have one"
        )


@component("optimizer", "adamw")
class AdamW(Optimizer):
    """AdamW (arXiv 1711.05101), fused; parameters with fewer than two dimensions are not decayed.

    Args:
        parameters: What it trains.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: Positive = 1e-3,
        weight_decay: NonNegative = 0.01,
        beta1: Beta = 0.9,
        beta2: Beta = 0.95,
    ) -> None:
        self.torch = _adamw(list(parameters), lr, weight_decay, (beta1, beta2))

    def rate_by_width(self, parameter: Tensor, sides: Sides) -> float:
        return sides.adam


@component("optimizer", "muon")
class Muon(Optimizer):
    """Muon (Jordan et al. 2024) for the weights of linear layers in prelude, core and coda, AdamW for all others.

    The direction is the momentum's nearest orthogonal matrix, times ``0.2 sqrt(max(rows, columns))``, which makes it as
    large as AdamW's (arXiv 2502.16982, section 2.2), so that one learning rate serves both. Stacked matrices of
    experts, embedding, head, tables, and what has one dimension are AdamW's. Both are torch's own.

    Args:
        parameters: What it trains. Of a plain list all matrices are Muon's.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices.
        momentum: Decay of Muon's momentum, Nesterov's.
        num_iterations: Newton-Schulz iterations that make it orthogonal.
        beta1: Decay of AdamW's first moment.
        beta2: Decay of AdamW's second moment.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: Positive = 1e-3,
        weight_decay: NonNegative = 0.01,
        momentum: Beta = 0.95,
        num_iterations: Annotated[int, Field(ge=1, le=20)] = 5,
        beta1: Beta = 0.9,
        beta2: Beta = 0.95,
    ) -> None:
        parameters = parameters if isinstance(parameters, list) else list(parameters)
        matrices = (
            parameters.matrices if isinstance(parameters, Parameters) else [p for p in parameters if p.dim() == 2]
        )
        self._its = {id(p) for p in matrices}
        others = [p for p in parameters if id(p) not in self._its]
        both: list[torch.optim.Optimizer] = []
        if matrices:
            muon = torch.optim.Muon(
                matrices,
                lr=lr,
                weight_decay=weight_decay,
                momentum=momentum,
                ns_steps=num_iterations,
                adjust_lr_fn="match_rms_adamw",
            )
            both.append(muon)
        if others:
            both.append(_adamw(others, lr, weight_decay, (beta1, beta2)))
        self.torch = _Several(both)

    def rate_by_width(self, parameter: Tensor, sides: Sides) -> float:
        return sides.muon if id(parameter) in self._its else sides.adam


class _Several(torch.optim.Optimizer):
    """Several optimisers, each of parameters of its own, as one."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        self._optimizers = optimizers
        groups = [{**group, _OF: index} for index, each in enumerate(optimizers) for group in each.param_groups]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for index, optimizer in enumerate(self._optimizers):
            # Those of this one: what is divided or loaded is so here.
            optimizer.param_groups = [group for group in self.param_groups if group[_OF] == index]
            optimizer.state = self.state
            optimizer.step()
        return loss


_OF = "of"  # entry of a parameter group: which of several optimisers it is of


def _adamw(
    parameters: list[Tensor], lr: float, weight_decay: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return _AdamW([g for g in groups if g["params"]], lr=lr, betas=betas, fused=True)


class _AdamW(torch.optim.AdamW):
    """torch's AdamW without torch's compiler, whose import alone takes one and a half to three seconds of CPU.

    torch keeps these methods from being compiled, and imports the compiler for that at their first call. Nobody
    compiles them here: what a recipe has compiled is layers (:mod:`mythos_lab.training.compiled`).
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
