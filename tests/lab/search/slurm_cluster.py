"""SLURM of a test's own: munged, slurmctld and slurmd, on this machine, there within a second.

Debian's ``slurm-wlm`` and ``munge`` bring them. Started by root, as slurmd has to be to run jobs.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def missing():
    """Why there can be no cluster here; empty where there can."""
    absent = [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]
    if absent:
        return f"{', '.join(absent)}: not installed (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "slurmd runs jobs as root only"


@contextmanager
def slurm_cluster(folder):
    """A cluster of one node with two processors, which ``SLURM_CONF`` names while the ``with`` block runs."""
    host, user = socket.gethostname().partition(".")[0], getpass.getuser()
    ports = [_free_port() for _ in range(2)]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    config = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": ports[0],
        "SlurmdPort": ports[1],
        "SlurmUser": user,
        "AuthInfo": f"socket={folder}/munge,cred_expire=1",  # what is queued again may begin a second later
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SchedulerType": "sched/builtin",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU",
        "MpiDefault": "none",
        "NodeName": f"{host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN",
        "PartitionName": "main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    }
    (folder / "slurm.conf").write_text("".join(f"{name}={value}\n" for name, value in config.items()))
    munged = ["munged", "--foreground", "--force", *(f"--{n}={folder}/{f}" for n, f in _OF_MUNGE.items())]
    commands = [munged, ["slurmctld", "-D", "-i"], ["slurmd", "-D"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PATH", _PATH)
        running = []
        try:
            for command in commands:
                log = (folder / f"{command[0]}.log").open("w")
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
                if command is munged:
                    _wait_for(lambda: (folder / "munge").exists(), folder)
            _wait_for(lambda: "idle" in _output("sinfo", "-h"), folder)
            yield
        finally:
            _output("scancel", "--user", user)
            for process in reversed(running):
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()


_OF_MUNGE = {
    "key-file": "key",
    "socket": "munge",
    "pid-file": "munge.pid",
    "log-file": "munge.log",
    "seed-file": "seed",
}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def _wait_for(is_there, folder):
    for _ in range(300):
        if is_there():
            return
        time.sleep(0.1)
    logs = {log.name: log.read_text()[-1000:] for log in folder.glob("*.log")}
    raise AssertionError(f"the cluster did not begin: {logs}")
