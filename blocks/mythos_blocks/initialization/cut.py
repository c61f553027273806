"""What the code of Huginn and of Parcae draws alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.initialization.base import Initialization
from mythos_blocks.tensors.orthogonal import orthogonal_


class CutWeights(Initialization):
    """Normal numbers cut at three standard deviations, or orthogonal matrices of the same size.

    Value embeddings are standard normal, and their gates uniform within ``1 / sqrt(fan_in)``.
    """

    orthogonal: bool

    def deviation(self, name: str, model: nn.Module) -> float:
        """Standard deviation of a matrix that is none of a value embedding."""
        raise NotImplementedError

    def is_orthogonal(self, name: str) -> bool:
        """Whether a matrix is drawn with orthonormal rows or columns."""
        return self.orthogonal

    def size(self, name: str, weight: Tensor, model: nn.Module) -> float:
        if _is_table(name):
            return 1.0
        return _bound(weight) if _is_gate(name) else self.deviation(name, model)

    def draw(self, name: str, weight: Tensor, model: nn.Module, generator: torch.Generator) -> None:
        if _is_table(name):
            nn.init.normal_(weight, generator=generator)
        elif _is_gate(name):
            nn.init.uniform_(weight, -_bound(weight), _bound(weight), generator=generator)
        elif self.is_orthogonal(name):
            orthogonal_(weight, self.deviation(name, model) * max(weight.shape[-2:]) ** 0.5, generator)
        else:
            std = self.deviation(name, model)
            nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)


def base_std(name: str, model: nn.Module) -> float:
    """``sqrt(2 / (5 d))``, as in Huginn and Parcae; d is the state's width in the looped layers, else the model's."""
    embedding, core = (model.get_submodule(part) for part in ("embedding", "core"))
    assert isinstance(embedding, nn.Embedding)
    looped = name.startswith("core.") and "layers." in name
    width = getattr(core, "state_width", embedding.embedding_dim) if looped else embedding.embedding_dim
    return float((2 / (5 * width)) ** 0.5)


def _is_table(name: str) -> bool:
    return name.endswith("value_embedding.table.weight")


def _is_gate(name: str) -> bool:
    return name.endswith("value_embedding.gate.weight")


def _bound(gate: Tensor) -> float:
    return float(gate.shape[-1] ** -0.5)
