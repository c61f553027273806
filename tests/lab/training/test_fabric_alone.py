"""A process that trains starts with Fabric, and without what Fabric's packages import to read a version."""

import subprocess
import sys

HEAVY = {"torchmetrics", "transformers", "lightning", "pytorch_lightning", "torch._dynamo"}


SCRIPT = f"""
import sys, mythos_lab.search.worker
print(sorted({HEAVY} & set(sys.modules)))
import torch
from lightning_fabric.wrappers import OptimizedModule
plain = torch.nn.Linear(1, 1)
print(isinstance(plain, OptimizedModule), isinstance(torch.compile(plain, backend="eager"), OptimizedModule))
"""


def test_a_worker_starts_without_them_leaves_no_stand_in_and_knows_what_torch_has_compiled():
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n")[:2] == ["[]", "False True"]
