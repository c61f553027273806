"""Run under TRITON_INTERPRET=1: what the benchmark's call loads and stores, seen from the interpreter; as JSON."""

import json

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime import interpreter

from mythos_kernels import state_update
from mythos_kernels.bench import call
from mythos_kernels.state_update import kernel

ROWS, WIDTH = 37, 80
touched = {"create_masked_load": set(), "create_masked_store": set()}


def spied(name):
    real = getattr(interpreter.interpreter_builder, name)
    position = 1 if name.endswith("load") else 2

    def through(*args):
        mask = args[position].data
        touched[name].update(np.broadcast_to(args[0].data, mask.shape)[mask].tolist())
        return real(*args)

    return through


for name in touched:
    setattr(interpreter.interpreter_builder, name, spied(name))


class Large(TorchDispatchMode):
    """The operations that touch a tensor of the state's size, with the addresses that kernels load and store there."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for addresses in touched.values():
            addresses.clear()
        out = func(*args, **(kwargs or {}))
        tensors = torch.utils._pytree.tree_leaves((args, kwargs, out))
        large = any(isinstance(x, torch.Tensor) and x.numel() >= ROWS * WIDTH for x in tensors)
        if large and func is not torch.ops.aten.detach.default:
            self.seen.append([str(func), *map(len, touched.values())])
        return out


if __name__ == "__main__":
    h, e, u = (torch.randn(ROWS, WIDTH, requires_grad=True) for _ in range(3))
    vectors = [torch.rand(WIDTH, requires_grad=True) for _ in range(3)]
    timed = call(state_update, (h, e, u, *vectors), backward=True)
    with Large() as mode:
        timed()
    print(
        json.dumps(
            {
                "operations": mode.seen,
                "forward": kernel.bytes_moved(h, backward=False),
                "both": kernel.bytes_moved(h, backward=True),
                "state": ROWS * WIDTH,
                "vector": WIDTH,
                "sums": 3 * kernel.num_programs(h) * WIDTH,
            }
        )
    )
