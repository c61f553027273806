"""What strangers hand over is data: each fault as a harmless proof, each promise of SECURITY.md as a contract."""

from pathlib import Path

import yaml

TINY = {
    "name": "tiny",
    "model": {"width": 16, "core": {"depth": 1, "loops": 2, "layer": {"attention": {"num_heads": 2}}}},
    "task": {"kind": "reachability", "num_nodes": 6, "num_validation": 32, "num_test": 32},
    "training": {"max_steps": 2, "batch_size": 4, "validate_every": 1, "accelerator": "cpu"},
    "evaluation": {"batch_size": 32, "depth_factor": 1, "ood": False, "knockouts": False},
}
"""The fields of a recipe that takes a second."""


def write(path: Path, content: object) -> Path:
    """The content as YAML in a file, whose path is returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def marking(marker: Path) -> str:
    """The source of a module that leaves a file behind, as proof that it was executed."""
    return f"open({str(marker)!r}, 'a').close()\n"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, as it stands on the disk."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
