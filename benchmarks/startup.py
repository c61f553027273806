"""How long commands take to begin: seconds of CPU, the least of some runs, beside those of the interpreter and torch.

python -m benchmarks.startup [RUNS]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

LAB = [sys.executable, "-m", "mythos_lab.cli"]
ONE_STEP = [
    *("training.max_steps=1", "training.schedule.warmup_steps=0", "evaluation.knockouts=false", "evaluation.ood=false"),
    *("measures=[]", "monitor.measures=[]", "task.validation_size=16", "evaluation.depth_factor=1"),
]
FIRST_STEP = "step 1 of"
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import torch": [sys.executable, "-c", "import torch"],
    "mythos --version": [*LAB, "--version"],
    "mythos recipes": [*LAB, "recipes"],
    "mythos components injection": [*LAB, "components", "injection"],
    "mythos cost gated_loop": [*LAB, "cost", "gated_loop"],
    "mythos check gated_loop": [*LAB, "check", "gated_loop"],
    "mythos train gated_loop, to its first step": [*LAB, "train", "gated_loop", *ONE_STEP],
    "mythos train gated_loop, one step and its end": [*LAB, "train", "gated_loop", *ONE_STEP],
}
"""What is timed. The first step is told once its validation, of 16 samples, is done; in an empty folder MLflow's store
is made anew before it. A training's end is its depth curve, its figures and the last of what it records."""


def seconds(command: list[str], until: str | None = None) -> tuple[float, float]:
    """CPU time and wall time of a command in an empty folder: to its end, or to a line that begins so."""
    with tempfile.TemporaryDirectory() as folder:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            reached = any(until is not None and line.startswith(until) for line in running.stdout)
            if reached:
                running.kill()
        assert reached or (until is None and running.returncode == 0), f"{command} ended with {running.returncode}"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began


def main(runs: int) -> None:
    """Print a line for each command."""
    print(f"{'least of ' + str(runs):48}{'CPU s':>8}{'wall s':>8}")
    for name, command in COMMANDS.items():
        measured = [seconds(command, FIRST_STEP if name.endswith("first step") else None) for _ in range(runs)]
        print(f"{name:48}{min(cpu for cpu, _ in measured):8.2f}{min(wall for _, wall in measured):8.2f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
