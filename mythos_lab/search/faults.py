"""Whose doing an error in a trial is: the candidate's, the machine's, or nobody knows."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator

import torch

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_SIGNS_OF_IT = (*map(os.strerror, _DISK_FULL), "disk is full")  # the last one is SQLite's
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_NOT_WRITABLE = (*_FORBIDDEN, errno.EIO, errno.ESTALE)

# Of CUDA, ROCm, MPS, cuBLAS, torch's allocator of main memory; and the last line of another rank's log.
_SIGNS_OF_NO_MEMORY = (
    "out of memory",
    "OutOfMemoryError",
    "ALLOC_FAILED",
    "DefaultCPUAllocator",
    "not enough memory",
    "MemoryError",
    os.strerror(errno.ENOMEM),
)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error, which libraries wrap in errors of their own."""
    return any(
        getattr(e, "errno", None) in _DISK_FULL or any(sign in str(e) for sign in _SIGNS_OF_IT) for e in _behind(error)
    )


def is_places(error: BaseException | None) -> bool:
    """Whether an error is that of a place where nothing can be written, and no candidate's."""
    return is_disk_full(error) or any(isinstance(e, OSError) and e.errno in _NOT_WRITABLE for e in _behind(error))


def is_lasting(error: BaseException | None) -> bool:
    """Whether an error is that of a place which is full, read-only or forbidden, so that asking again is in vain."""
    return is_disk_full(error) or any(
        isinstance(e, OSError) and (e.errno in _FORBIDDEN or isinstance(e, PermissionError)) for e in _behind(error)
    )


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that what was to be computed does not fit into memory, on whatever device."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return any(
        isinstance(e, kinds)
        or getattr(e, "errno", None) == errno.ENOMEM
        or (isinstance(e, RuntimeError) and any(sign in str(e) for sign in _SIGNS_OF_NO_MEMORY))
        for e in _behind(error)
    )


def free_memory() -> None:
    """Give back what a run held that came to a bad end; its error must be gone by then, which holds its frames."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
