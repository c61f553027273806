"""A checksum of what a safetensors file holds: a flipped bit and two swapped tensors are found when it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

DIGEST = "mythos_blocks.sha256"
"""Under which name the metadata hold it."""


def digest_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over the tensors' names, dtypes, shapes and bytes, and over the metadata but for the digest itself."""
    digest = hashlib.sha256()
    for key in sorted(metadata):
        if key != DIGEST:
            digest.update(f"{key}\0{metadata[key]}\0".encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
