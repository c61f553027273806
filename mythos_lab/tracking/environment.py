"""What a run ran on."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import mythos_blocks
import mythos_kernels
from mythos_kernels.dispatch import backend
from mythos_lab.recipe.code import imported_code
from mythos_lab.tracking import git

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


def environment(device: torch.device, imports: Sequence[str] = ()) -> dict[str, Any]:
    """Versions, platform, a digest of this laboratory's own source, and the working directory's commit and changes.

    Args:
        device: Where the run computes.
        imports: The modules that its recipe imports.
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "kernels": backend(torch.empty(0, device=device)),
        "attention": [name for name, enabled in _ATTENTION.items() if enabled()],
        "packages": {name: _version(name) for name in _PACKAGES},
        "git_commit": git.commit(),
        "git_changes": _changes(),
        "source": _source(),
        "code": imported_code(imports),
    }


_LABORATORY = Path(__file__).parents[1]  # whose public face, the package, imports rooms above this one


@lru_cache(maxsize=1)
def _source() -> str:
    """Digest of the code of the three packages, as this process has it."""
    digest = hashlib.sha256()
    for root in (*(Path(str(package.__file__)).parent for package in (mythos_kernels, mythos_blocks)), _LABORATORY):
        for path in sorted(root.rglob("*.py")):
            _add(digest, f"{root.name}/{path.relative_to(root)}", path)
    return digest.hexdigest()[:16]


def _changes() -> str | None:
    """Digest of what the code in the working directory has that its commit has not; ``None`` where that is nothing."""
    changes, new = git.difference(), [Path(name) for name in git.untracked("*.py")]
    if not changes and not any(map(_is_code, new)):
        return None
    digest = hashlib.sha256(changes)
    for path in sorted(new):
        _add(digest, str(path), path)
    return digest.hexdigest()[:16]


def _add(digest: hashlib._Hash, name: str, path: Path) -> None:
    """Add a file to a digest, if it is one: editors leave links beside it that lead nowhere (``.#mine.py``)."""
    if not _is_code(path):
        return
    try:
        content = path.read_bytes()
    except OSError as error:  # it is gone meanwhile, or another user's
        content = f"not readable: {error.strerror}".encode()
    digest.update(os.fsencode(name))
    digest.update(content)


def _is_code(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
