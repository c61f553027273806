"""What a run ran on."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from mythos_kernels.dispatch import backend

_PACKAGES = (
    "torch",
    "triton",
    "lightning",
    "optuna",
    "mlflow",
    "pydantic",
    "hydra-core",
    "mythos-lab",
    "mythos-blocks",
    "mythos-kernels",
)

# The implementations that torch's attention may choose from, for every call by what it is called with.
_ATTENTION: dict[str, Callable[[], bool]] = {
    "flash": torch.backends.cuda.flash_sdp_enabled,
    "efficient": torch.backends.cuda.mem_efficient_sdp_enabled,
    "cudnn": torch.backends.cuda.cudnn_sdp_enabled,
    "math": torch.backends.cuda.math_sdp_enabled,
}


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, platform, and the commit of the working directory with whether it has changes.

    Args:
        device: Where the run computes.
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "kernels": backend(torch.empty(0, device=device)),
        "attention": [name for name, enabled in _ATTENTION.items() if enabled()],
        "packages": {name: _version(name) for name in _PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
