"""Which process something is in the hands of, in words that another one cannot come to share."""

from __future__ import annotations

import os
import re
import socket
from functools import lru_cache
from pathlib import Path

import psutil

_PID = re.compile("[0-9]{1,9}")


def identity() -> str:
    """This process: ``machine:pid:start``."""
    pid = os.getpid()
    return f"{machine()}:{pid}:{_start(pid)}"


def machine() -> str:
    """Where process numbers mean the same as here: the host, since it was started, and within one container."""
    return f"{socket.gethostname()}/{_boot()}"


def is_alive(process: str) -> bool | None:
    """Whether a process exists, by its :func:`identity`; ``None`` where it is elsewhere, and cannot be looked for."""
    there, _, rest = process.partition(":")
    pid, _, start = rest.partition(":")
    if there != machine() or not _PID.fullmatch(pid):
        return None
    try:
        return _start(int(pid)) == start and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, OSError):
        return False


def described(process: str) -> str:
    """A process as it is shown to people."""
    there, _, rest = process.partition(":")
    return f"process {rest.partition(':')[0]} on {there.partition('/')[0]}"


def _start(pid: int) -> str:
    """When a process began, in ticks since the machine did: the time of day may be set meanwhile, and that not."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except FileNotFoundError:
        return f"{psutil.Process(pid).create_time():.2f}"  # where there is no /proc; or there is no such process
    return after_name.split()[19]


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8")[:8]
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
