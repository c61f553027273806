"""The script for a day with a GPU: what of it a CPU can run."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mythos_kernels
from benchmarks import gpu
from mythos_lab.recipe import load_recipe

SMALL = "size=tiny", "task.padded_vocab_size=512", "task.length=8", "model.core.loops.mean=2"


def test_it_checks_every_kernel_that_there_is():
    assert {path.parent.name for path in Path(mythos_kernels.__file__).parent.glob("*/kernel.py")} == set(gpu.KERNELS)


def test_without_a_device_it_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 2
    assert capsys.readouterr().err == "benchmarks.gpu needs a CUDA device, and torch finds none here\n"


def test_the_references_hold_in_every_dtype_and_a_kernel_that_differs_does_not(monkeypatch):
    shapes = ((1, 64), (30, 24))
    assert [holds for holds, _ in gpu.checks("cpu", shapes)] == [True] * 6
    right = gpu.KERNELS["state_update"]
    for nudge in (1.03, float("nan")):

        def off(h, e, u, a, b, weight, nudge=nudge):
            h_next, x_next = right.reference(h, e, u, a, b, weight)
            return h_next, x_next * (nudge if h.dtype is not torch.float64 else 1)

        monkeypatch.setitem(gpu.KERNELS, "state_update", dataclasses.replace(right, public=off))
        assert [holds for holds, _ in gpu.checks("cpu", shapes)] == [False] * 6


def test_the_kernels_hold_under_the_interpreter():
    code = "from benchmarks import gpu; print([holds for holds, _ in gpu.checks('cpu', ((3, 40),))])"
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "[True, True, True]", done.stderr[-2000:]


@pytest.mark.skipif(importlib.util.find_spec("open_mythos") is None, reason="open-mythos is not installed")
def test_steps_of_a_recipe_and_of_the_published_code_are_timed():
    line = gpu.throughput(load_recipe("openmythos", SMALL), "cpu", batch=2, rounds=1)
    assert line.startswith("openmythos, width 128, 2 x 8 tokens, 2 loops, bfloat16: published ")
    config = gpu.as_published(load_recipe("openmythos", ["size=small"]))
    assert (config["dim"], config["n_experts"], config["vocab_size"], config["max_loop_iters"]) == (768, 16, 32768, 8)
