"""What others do to linears and norms: adapters, hooks, parametrisations, quantisation by module and by tensor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

import mythos_blocks as mb

WAYS = ("adapter", "hook", "forward", "parametrization", "quantised module", "quantised tensor")


class Adapted(nn.Module):
    """A linear with a term of its own, as adapters wrap them."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        self.term = nn.Linear(linear.in_features, linear.out_features, bias=False)
        nn.init.normal_(self.term.weight, std=0.3, generator=torch.Generator().manual_seed(1))

    @property
    def weight(self):
        return self.linear.weight

    def forward(self, x):
        return self.linear(x) + self.term(x)


def mixed(x, dim=-1):
    """Another vector, not a multiple of it, which norms would take out."""
    return x + 0.5 * x.roll(1, dim)


class Mixed(nn.Module):
    def forward(self, weight):
        return mixed(weight, 0)


def whole_numbers(weight, levels=15):
    """A coarse quantisation: whole numbers and a scale for each row."""
    scale = weight.detach().abs().amax(1, keepdim=True).clamp_min(1e-6) / levels
    return (weight.detach() / scale).round().to(torch.int8), scale


class Quantised(nn.Module):
    """A linear's stand-in with whole numbers for weights, without the attributes or the hooks of a linear."""

    def __init__(self, linear):
        super().__init__()
        numbers, scale = whole_numbers(linear.weight)
        self.register_buffer("weight", numbers)
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype), self.bias)


class WholeNumbers(torch.Tensor):
    """A weight of whole numbers, which knows the product of a linear and nothing else, in a linear that stays one."""

    @staticmethod
    def __new__(cls, numbers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=scale.dtype, device=scale.device)

    def __init__(self, numbers, scale):
        self.numbers, self.scale = numbers, scale

    def __tensor_flatten__(self):
        return ["numbers", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, context, size, stride):
        return cls(inner["numbers"], inner["scale"])

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is F.linear:
            x, weight, *bias = args
            return F.linear(x, weight.numbers.to(x.dtype) * weight.scale, *bias)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return cls(args[0].numbers, args[0].scale)
        raise NotImplementedError(func)


def wrap(parent, name, way):
    """Change one module in place."""
    module = getattr(parent, name)
    if way == "adapter":
        setattr(parent, name, Adapted(module))
    elif way == "quantised module":
        setattr(parent, name, Quantised(module))
    elif way == "quantised tensor":
        module.weight = nn.Parameter(WholeNumbers(*whole_numbers(module.weight)), requires_grad=False)
    elif way == "hook":
        module.register_forward_hook(lambda module, args, out: mixed(out))
    elif way == "forward":
        original = module.forward
        module.forward = lambda *args: mixed(original(*args))
    else:
        parametrize.register_parametrization(module, "weight", Mixed())


def leaves(model, way):
    """Parent and name of all that a way fits in the core."""
    kinds = (nn.Linear, mb.RMSNorm) if way in ("hook", "forward") else nn.Linear
    return [
        (model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2])
        for path, module in list(model.named_modules())
        if path.startswith("core.") and isinstance(module, kinds)
    ]


def wrap_all(model, way):
    """Change all that a way fits in the core."""
    for parent, name in leaves(model, way):
        wrap(parent, name, way)
    return model
