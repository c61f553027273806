"""The state update: its reference, its kernel under the interpreter, and its compilation without a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mythos_kernels import state_update
from mythos_kernels.dispatch import backend
from mythos_kernels.state_update import reference


def inputs(rows=3, width=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    rows_ = [torch.randn(rows, width, generator=generator, dtype=dtype, requires_grad=True) for _ in range(3)]
    return rows_ + [torch.randn(width, generator=generator, dtype=dtype, requires_grad=True) for _ in range(3)]


def run(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    return subprocess.run([sys.executable, *arguments], env={**clean, **environment}, capture_output=True, text=True)


def test_it_is_the_two_equations():
    h, e, u, a, b, weight = inputs()
    signal = torch.ones(8, dtype=torch.float64)
    h_next, x_next = state_update(h, e, u, a, b, weight, signal=signal)
    torch.testing.assert_close(h_next, a * h + b * e + u)
    z = h_next + e + signal
    torch.testing.assert_close(x_next, z / (z.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight)


@pytest.mark.parametrize("signal", [None, torch.linspace(-1, 1, 8, dtype=torch.float64)])
def test_the_reference_passes_gradcheck(signal):
    assert torch.autograd.gradcheck(lambda *t: reference.state_update(*t, signal=signal), inputs())


def test_outputs_have_the_dtypes_of_state_and_core():
    h, e, u, a, b, weight = inputs(dtype=torch.float32)
    h_next, x_next = state_update(h, e, u.to(torch.bfloat16), a, b, weight)
    assert (h_next.dtype, x_next.dtype) == (torch.float32, torch.bfloat16)


def test_the_cpu_runs_the_reference():
    assert backend(torch.zeros(1)) == "reference"


@pytest.mark.parametrize("position, name", [(1, "e"), (2, "u"), (3, "a"), (5, "weight")])
def test_a_wrong_shape_is_named(position, name):
    tensors = inputs()
    tensors[position] = torch.zeros(5, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"^{name} must"):
        state_update(*tensors)


def test_importing_the_package_does_not_import_triton():
    done = run("-c", "import sys, mythos_kernels; sys.exit('triton' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_the_kernel_agrees_with_the_reference_under_the_interpreter():
    done = run(str(Path(__file__).with_name("interpreted.py")), TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    errors = json.loads(done.stdout)
    assert len(errors) == 48
    for name, error in errors.items():
        # The interpreter truncates stores in bfloat16, which has 8 bits: one unit in the last place.
        assert error <= (2e-5 if name.startswith("float32") else 2**-7), (name, error)


def test_the_benchmark_counts_what_the_kernels_load_and_store_and_moves_nothing_else():
    done = run(str(Path(__file__).with_name("moved.py")), TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    (forward, *ahead), (backward, *back) = found["operations"]
    assert (forward, backward) == (
        "mythos_kernels.state_update.default", "mythos_kernels.state_update_backward.default")  # fmt: skip
    vectors = 3 * found["vector"]  # a, b and weight, which the count leaves out
    assert 4 * (sum(ahead) - vectors) == found["forward"] == 4 * 5 * found["state"]
    # What torch reads again to add the sums up, on top.
    assert 4 * (sum(ahead) + sum(back) - 2 * vectors + found["sums"]) == found["both"]


def test_every_kernel_compiles_for_sm_80_and_sm_90():
    done = run("-m", "mythos_kernels.aot")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "sm_80 float32" in done.stdout and "sm_90 bfloat16" in done.stdout


def test_a_kernel_that_does_not_compile_is_found():
    script = """
import dataclasses, sys
from mythos_kernels import aot
from mythos_kernels.state_update.kernel import AOT_CASES
broken = dataclasses.replace(AOT_CASES[0], constants={**AOT_CASES[0].constants, "BLOCK_WIDTH": 100})
sys.exit(aot.main([broken]))
"""
    done = run("-c", script)
    assert done.returncode == 1 and "FAIL" in done.stdout, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("rows, width", [(1, 48), (33, 130), (1024, 2048), (7, 8192)])
def test_the_kernel_agrees_with_float64_on_a_gpu(rows, width):
    tensors = [t.detach().cuda() for t in inputs(rows, width)]
    ours = [t.float().requires_grad_() for t in tensors]
    exact = [t.requires_grad_() for t in tensors]
    for function, leaves in ((state_update, ours), (reference.state_update, exact)):
        h_next, x_next = function(*leaves)
        (h_next.sin().sum() + x_next.sin().sum()).backward()
    for mine, theirs in zip(ours, exact, strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-4, atol=1e-4)
