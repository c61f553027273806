"""A PostgreSQL server of a test's own, with Debian's binaries, in a temporary folder and on a free port."""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

MISSING = "PostgreSQL is not installed, and this test needs its initdb and pg_ctl: apt-get install postgresql"


class Cluster:
    """A running server.

    Args:
        folder: Where it keeps everything.
        port: Where it listens, on this machine only.
        durable: Whether it waits for the disk. Where processes are killed and the machine is not, nothing is lost without.

    Attributes:
        url: Its one database, as SQLAlchemy takes it.
    """

    def __init__(self, folder, port, durable):
        self.url = f"postgresql+psycopg://mythos@127.0.0.1:{port}/postgres"
        self._data, self._log = folder / "data", folder / "log"
        _run("initdb", "-D", self._data, "-U", "mythos", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync={'on' if durable else 'off'}"
        self._control("start")

    def restart(self, mode):
        """Restart it: ``fast`` closes all connections, ``immediate`` is a crash with recovery."""
        self._control("restart", "-m", mode)

    def stop(self):
        _run("pg_ctl", "stop", "-D", self._data, "-m", "immediate", "-w")

    def _control(self, *command):
        _run("pg_ctl", *command, "-D", self._data, "-l", self._log, "-o", self._options, "-w", "-t", "60")


@contextmanager
def cluster(durable=False):
    """A server that is gone with its folder when the ``with`` block ends."""
    folder = Path(tempfile.mkdtemp(prefix="mythos-postgres-"))  # below pytest's folders only their owner may walk
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, *_other_user())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        running = Cluster(folder, port, durable)
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(name, *arguments):
    user, group = _other_user() if os.geteuid() == 0 else (None, None)
    extra = {} if user is None else {"user": user, "group": group, "extra_groups": []}
    # Not through a pipe: the server would inherit it, and the wait for its end would be one for the server's.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run([_binary(name), *map(str, arguments)], stdout=output, stderr=output, cwd="/", **extra)
        output.seek(0)
        assert done.returncode == 0, f"{name}: {output.read()}"


def _binary(name):
    places = [Path(shutil.which(name) or ""), *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)]
    found = next((place for place in places if place.is_file()), None)
    assert found is not None, MISSING
    return str(found)


def _other_user():
    """Whom the server runs as where the test runs as root, which PostgreSQL refuses."""
    return "postgres", "postgres"
