"""A process that trains starts with Fabric, and without what Fabric's packages import to read a version."""

import subprocess
import sys

HEAVY = {"torchmetrics", "transformers", "lightning", "pytorch_lightning"}


def test_a_worker_starts_without_them_and_leaves_no_stand_in():
    script = f"import sys, mythos_lab.search.worker; print(sorted({HEAVY} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
