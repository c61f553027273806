"""Run under TRITON_INTERPRET=1: the kernel against the reference; prints the largest errors as JSON."""

import itertools
import json

import torch

real_empty, real_empty_like = torch.empty, torch.empty_like


def poisoned(make):
    """Buffers start as NaN, so that an element that a kernel does not write is seen."""

    def filled(*args, **kwargs):
        out = make(*args, **kwargs)
        return out.fill_(float("nan")) if out.is_floating_point() else out

    return filled


torch.empty, torch.empty_like = poisoned(real_empty), poisoned(real_empty_like)

from mythos_kernels import state_update  # noqa: E402
from mythos_kernels.dispatch import backend  # noqa: E402
from mythos_kernels.state_update import reference  # noqa: E402


def compare(rows, width, dtype, with_signal, outputs, contiguous):
    generator = torch.Generator().manual_seed(rows * width)

    def leaf(*shape, dtype=torch.float32):
        return torch.randn(*shape, generator=generator).to(dtype)

    tensors = [leaf(rows, width, dtype=dtype) for _ in range(3)] + [leaf(width) for _ in range(3)]
    if not contiguous:
        tensors[:3] = [t.t().contiguous().t() for t in tensors[:3]]
    tensors.append(leaf(width) if with_signal else None)
    grads = [leaf(rows, width, dtype=dtype) for _ in range(2)]
    results = []
    for function in (state_update, reference.state_update):
        leaves = [
            None if t is None else t.detach().clone(memory_format=torch.preserve_format).requires_grad_()
            for t in tensors
        ]
        out = function(*leaves[:6], signal=leaves[6], eps=1e-6)
        loss = sum((out[i] * grads[i]).float().sum() for i in outputs)
        used = [x for x in leaves if x is not None]
        back = torch.autograd.grad(loss, used, allow_unused=True)
        results.append([*out, *back])
    error = 0.0
    for ours, theirs in zip(*results, strict=True):
        if theirs is None:
            assert ours is None or not ours.any()
            continue
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        scale = theirs.float().abs().max().clamp_min(1.0) if theirs.numel() else torch.tensor(1.0)
        difference = ((ours.float() - theirs.float()).abs() / scale).nan_to_num(nan=torch.inf)
        error = max(error, float(difference.max()) if difference.numel() else 0.0)
    return error


if __name__ == "__main__":
    assert backend(torch.zeros(1)) == "triton"
    errors = {}
    for dtype in (torch.float32, torch.bfloat16):
        for (rows, width), signal in itertools.product([(1, 48), (7, 100), (33, 130), (0, 16)], (True, False)):
            for outputs, contiguous in (((0, 1), True), ((0,), True), ((1,), False)):
                name = f"{str(dtype)[6:]} rows={rows} width={width} signal={signal} outputs={outputs}"
                errors[name] = compare(rows, width, dtype, signal, outputs, contiguous)
    print(json.dumps(errors))
