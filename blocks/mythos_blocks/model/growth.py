"""The maximal update parametrisation (muP): how a model has grown from the sizes at which a recipe's numbers hold.

What has grown is read off shapes, of the model and of the same declaration at its base, and off no names: a matrix of
which both sides have grown, one whose input alone has, and all others. Of a new component nothing need be said, unless
it multiplies a state by a parameter that is no linear, convolution, ``matrices`` or ``summed``, with one side that
grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from mythos_blocks.tensors.matrices import matrices

if TYPE_CHECKING:
    from mythos_blocks.declaring.spec import Spec
    from mythos_blocks.model.looped_transformer import LoopedTransformer


@dataclass(frozen=True)
class Sides:
    """How often larger than at the base the sides of a parameter are.

    Attributes:
        rows: What a matrix gives; 1 of what is no matrix.
        columns: What each of its outputs sums over; 1 of what is no matrix.
        longest: The longer of the two.
    """

    rows: float = 1.0
    columns: float = 1.0
    longest: float = 1.0

    @property
    def initial(self) -> float:
        """Its standard deviation over the base's: by the root of what is summed, and where that alone grows, by it."""
        return float(self.columns**-0.5 if self.rows != 1 else self.columns**-1.0)

    @property
    def adam(self) -> float:
        """The learning rate over the base's of a step whose entries are of one size each: by what is summed."""
        return self.columns**-1.0

    @property
    def muon(self) -> float:
        """That of an orthogonal step times ``sqrt(max(rows, columns))``: as large a norm as ``sqrt(rows / columns)``.

        Yang, Simon and Bernstein, arXiv 2310.17813.
        """
        return float((self.rows / self.columns / self.longest) ** 0.5)


@dataclass(frozen=True)
class Growth:
    """What has grown in a model, by the names of its parameters.

    Attributes:
        sides: The sides of the parameters of another shape than at the base; empty where there are none.
        initial: What is drawn for the initial values of parameters is multiplied by these.
    """

    sides: Mapping[str, Sides] = field(default_factory=dict)
    initial: Mapping[str, float] = field(default_factory=dict)


def base_of(spec: Spec, context: tuple[Any, ...]) -> LoopedTransformer:
    """The model that a declaration has at its base, on the meta device.

    Raises:
        ValueError: ``mup_base`` says no width, names no size of the model, or what it declares cannot be built.
    """
    declared = spec.model_dump()
    sizes = declared.pop("mup_base")
    if "width" not in sizes:
        raise ValueError("mup_base: no width; expected the width at which the numbers hold, {width: 64}")
    for path, size in sizes.items():
        _set(declared, path, size)
    try:
        with torch.device("meta"):
            base: LoopedTransformer = type(spec).model_validate(declared).build(*context)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"mup_base: {'.'.join(map(str, first['loc']))}={first['input']!r}: {first['msg']}") from None
    except ValueError as error:
        raise ValueError(f"mup_base: the model cannot be built at its base: {error}") from None
    return base


def _set(declared: dict[str, Any], path: str, size: int) -> None:
    *above, last = path.split(".")
    node: Any = declared
    for part in above:
        if isinstance(node, list | tuple) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, dict) or last not in node:
        raise ValueError(f"mup_base: {path!r} is no field of the model; expected a path such as width")
    node[last] = size


def grown_from(base: LoopedTransformer, model: LoopedTransformer) -> Growth:
    """Compare a model with its base, and have its constants follow.

    Numbers that components make of sizes (``float`` attributes, such as the deviation of an initial state) become the
    base's, the scale of attention's scores (``score_scale``) moves by ``1 / d`` from there instead of ``1 / sqrt(d)``,
    and the readout is divided by what it sums over.

    Raises:
        ValueError: The base has other parameters.
    """
    before = dict(base.named_parameters())
    parameters = dict(model.named_parameters())
    for name in sorted(before.keys() ^ parameters.keys())[:1]:
        raise ValueError(f"mup_base: sizes may differ from the base's, and parameters may not: {name} is of one alone")
    _keep_constants(base, model)
    model.readout_scale = base.head.in_features / model.head.in_features
    summed = _summed(model)
    sides: dict[str, Sides] = {}
    initial: dict[str, float] = {}
    for name, parameter in parameters.items():
        was = before[name]
        if parameter.dim() != was.dim():
            raise ValueError(f"mup_base: {name} has {was.dim()} axes at the base, and {parameter.dim()} here")
        if parameter.shape == was.shape:
            continue
        num_grown = sum(a != b for a, b in zip(parameter.shape, was.shape, strict=True))
        is_matrix = num_grown > 1 or id(parameter) in summed
        sides[name] = _sides(parameter, was, summed.get(id(parameter))) if is_matrix else Sides()
        if parameter.dim() >= 2:
            drawn, at_base = _drawn(name, parameter, model), _drawn(name, was, base)
            initial |= {name: sides[name].initial * at_base / drawn} if drawn else {}
    return Growth(sides, initial)


def _drawn(name: str, parameter: Tensor, model: LoopedTransformer) -> float:
    """The size of what a model's initialisation draws for a parameter."""
    rule = model.initialization
    try:
        return float(rule.size(name, parameter, model))
    except NotImplementedError:
        raise ValueError(
            f"mup_base: initialization {rule.kind!r} does not say how large its weights are (std, or size)"
        ) from None


def _keep_constants(base: nn.Module, model: nn.Module) -> None:
    for name, module in model.named_modules():
        then = vars(base.get_submodule(name))
        for key, value in list(vars(module).items()):
            was = then.get(key)
            if type(value) is float and type(was) is float and value != was:
                setattr(module, key, value**2 / was if key == "score_scale" else was)


def _summed(model: LoopedTransformer) -> dict[int, nn.Module]:
    """By ``id``, every parameter along which a state is summed, with its owner; not the readout, which has a scale."""
    found = {id(parameter): owner for _, owner, parameter in matrices(model)}
    for owner in model.modules():
        for name in getattr(owner, "summed", ()):
            held = getattr(owner, name)
            found |= {id(p): owner for p in (held.parameters() if isinstance(held, nn.Module) else [held])}
    for table in (module for module in model.modules() if isinstance(module, nn.Embedding)):
        found.pop(id(table.weight), None)
    found.pop(id(model.head.weight), None)
    return found


def _sides(parameter: Tensor, before: Tensor, owner: nn.Module | None) -> Sides:
    (rows, columns), (rows_then, columns_then) = (_two_sides(x, owner) for x in (parameter, before))
    return Sides(rows / rows_then, columns / columns_then, max(rows, columns) / max(rows_then, columns_then))


def _two_sides(parameter: Tensor, owner: nn.Module | None) -> tuple[int, int]:
    """Outputs of a matrix ``(..., out, in)``, and what each sums over; a convolution's are ``(out, in, taps)``."""
    if isinstance(owner, nn.Conv1d):
        return parameter.shape[0], parameter.shape[1] * parameter.shape[2]
    return parameter.shape[-2], parameter.shape[-1]
