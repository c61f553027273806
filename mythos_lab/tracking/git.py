"""What git says of the working directory, asked so that it runs nothing that the repository names.

A repository may lie in a folder that somebody else has packed, with settings of its own: a monitor, hooks, filters,
drivers for differences, a remote from which missing objects are fetched. All of them are programs, and off here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from types import MappingProxyType

from mythos_lab.children import environment

_SECONDS = 10
_HELD = "mythos.held"  # which git lists if it takes settings from the environment; it does since 2.31
_OFF = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "core.sshCommand": "false",
    "diff.external": "",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",
    _HELD: "yes",
}
_VARIABLES = {
    "GIT_OPTIONAL_LOCKS": "0",  # or it writes its index, and tells a hook
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
}
_PLAIN = re.compile(r"filter\.[\w-]+")


def commit() -> str | None:
    """The commit of the working directory; ``None`` where there is none, or no git."""
    said = _asked("rev-parse", "HEAD")
    return None if said is None else said.decode()


def difference() -> bytes:
    """What the tracked files of the repository have that their commit has not, in whatever encoding they are.

    Files that pass through a filter, as large ones do on their way to a server, are left out: only the filter can say
    whether they have changed. So is what has changed within submodules.
    """
    listed = _asked("config", "--list", "--name-only", "-z")
    names = set() if listed is None else set(os.fsdecode(listed).split("\0"))
    if _HELD not in names:
        return b""
    drivers = {name.rpartition(".")[0] for name in names if name.startswith("filter.")}
    off = {f"{driver}.{kind}": "" for driver in drivers for kind in ("clean", "smudge", "process")}
    off |= {f"{driver}.required": "false" for driver in drivers}
    apart = [f":(exclude,attr:filter={driver.partition('.')[2]})" for driver in drivers if _PLAIN.fullmatch(driver)]
    command = ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "HEAD", "--", ":/")
    return _asked(*command, *sorted(apart), settings=off) or b""


def untracked(pattern: str) -> list[str]:
    """Names of files below the working directory that are neither tracked nor ignored."""
    listed = _asked("ls-files", "-z", "--others", "--exclude-standard", "--", pattern) or b""
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _asked(*arguments: str, settings: Mapping[str, str] = MappingProxyType({})) -> bytes | None:
    """What git says; ``None`` where it cannot. Settings go by the environment, where a name may have any character."""
    places = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(part)]
    git = shutil.which("git", path=os.pathsep.join(places))
    if git is None:
        return None
    said = environment(_VARIABLES)
    count = said.get("GIT_CONFIG_COUNT", "")
    first = int(count) if count.isdigit() else 0  # those of the caller's own stand before
    all_settings = {**_OFF, **settings}
    for number, (name, value) in enumerate(all_settings.items(), first):
        said[f"GIT_CONFIG_KEY_{number}"], said[f"GIT_CONFIG_VALUE_{number}"] = name, value
    said["GIT_CONFIG_COUNT"] = str(first + len(all_settings))
    command = [git, "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "--no-pager", *arguments]
    try:
        done = subprocess.run(command, env=said, capture_output=True, check=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
