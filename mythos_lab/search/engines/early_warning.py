"""A warning of SLURM's that comes before anybody heeds it: it is kept, where by default it would end the process."""

from __future__ import annotations

import shlex
import signal

# What is ignored stays so in the program that a shell becomes. What is blocked is kept too, which no shell can do.
_SHELL = "trap '' {number}; exec \"$@\""
_PYTHON = (
    "import runpy, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [{number}]); "
    "sys.argv = sys.argv[sys.argv.index('-m') + 1:]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def keeping(python: str, number: int) -> str:
    """A shell command that runs ``-m MODULE ARGUMENTS`` behind it, as Python does, and keeps a signal for :func:`heed`.

    Args:
        python: The interpreter's file.
        number: The signal's. From Python's first line on it waits; in the milliseconds before, it is lost.
    """
    shell, script = _SHELL.format(number=number), _PYTHON.format(number=number)
    return f"sh -c {shlex.quote(shell)} sh {shlex.quote(python)} -P -u -c {shlex.quote(script)}"


def heed(number: int) -> None:
    """Have a signal's handler called from now on, and at once where the signal has come before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
