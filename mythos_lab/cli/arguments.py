"""The command line as every user of the machine can list it, who may not see the logins in it."""

from __future__ import annotations

import json
import os
import sys

from mythos_lab.children import environment, python_module

_VARIABLE = "MYTHOS_ARGUMENTS"


def hide_logins() -> None:
    """Run the same command again, with what was typed in its environment, where its arguments hold a login.

    The process keeps its number, and is listed without the login as soon as Python has started. A URL that a variable
    names (``MYTHOS_STORAGE``, ``MLFLOW_TRACKING_URI``) is never listed at all.
    """
    typed = sys.argv[1:]
    if (kept := os.environ.pop(_VARIABLE, None)) is not None:
        sys.argv[1:] = json.loads(kept)
        return
    if not any("://" in text for text in typed):
        return
    from mythos_lab.recipe.urls import in_argument

    if (shown := [in_argument(text) for text in typed]) != typed:
        command = python_module("mythos_lab.cli", *shown)
        sys.stdout.flush()
        os.execve(command[0], command, environment({_VARIABLE: json.dumps(typed)}))
