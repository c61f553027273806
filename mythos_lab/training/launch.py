"""Starts the other ranks of a run, watches them, and sees to it that they end with it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue

import torch
import torch.distributed as dist
from torch.distributed import FileStore  # type: ignore[attr-defined]

from mythos_lab.children import environment, python_module, search_path
from mythos_lab.recipe.outputs import open_log
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.training.devices import Meeting, declared, device_of, device_type
from mythos_lab.training.other_devices import devices_of
from mythos_lab.training.stop_reasons import Diverged, RankDied

# The others wait while rank 0 validates; that a rank has died is not found out by waiting.
_TIMEOUT = timedelta(hours=6)
# Where the two libraries that carry the ranks' tensors listen, unless the variable says otherwise.
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
_GRACE_SECONDS = 5.0  # for a process to go that has lost its connection, or has nothing left to do


@contextmanager
def joined(recipe: Recipe, folder: Path, resumed: bool) -> Iterator[Rank]:
    """Within it, the ranks that the recipe declares train together, this process being rank 0.

    They are started here, as processes of their own, unless torchrun or srun has started them. When the context ends
    they end, whatever ended it.

    Args:
        recipe: The recipe.
        folder: The run's directory, from which the others read recipe and checkpoint.
        resumed: Whether they go on from the checkpoint.

    Raises:
        RankDied: One of them did.
    """
    num = recipe.training.num_devices
    if num == 1:
        yield Rank(device=device_of(recipe, 0))
    elif (meeting := declared(recipe)) is not None:
        with _met(recipe, meeting):
            meeting.rank.first([str(folder.absolute()), resumed])
            yield meeting.rank
    else:
        with _cores_shared(recipe, num), _started(recipe, num, folder, resumed) as rank:
            yield rank


@contextmanager
def follows(recipe: Recipe, index: int, meeting: Path, ready: int) -> Iterator[Rank]:
    """Within it, this process is one of the ranks that rank 0 started.

    Args:
        recipe: The recipe.
        index: Which one.
        meeting: The file in which rank 0 waits.
        ready: File descriptor that tells rank 0 that this process got here, and by its end that it is gone.
    """
    num = recipe.training.num_devices
    rank = Rank(index, num, index, num, device_of(recipe, index))
    threading.Thread(target=_end_with_rank_0, daemon=True).start()
    os.write(ready, b"!")
    with _cores_shared(recipe, num), _on_loopback(), _grouped(rank, _store(meeting, num)):
        yield rank


@contextmanager
def follows_declared(recipe: Recipe, meeting: Meeting) -> Iterator[tuple[Path, bool]]:
    """The same for a process that torchrun or srun started: the run's folder, and whether the run is resumed."""
    with _met(recipe, meeting):
        folder, resumed = meeting.rank.first(None)
        yield Path(str(folder)), bool(resumed)


@contextmanager
def _met(recipe: Recipe, meeting: Meeting) -> Iterator[None]:
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = meeting.address, str(meeting.port)
    with _cores_shared(recipe, meeting.rank.num_local), _grouped(meeting.rank, None):
        yield


@contextmanager
def _started(recipe: Recipe, num: int, folder: Path, resumed: bool) -> Iterator[Rank]:
    rank = Rank(0, num, 0, num, device_of(recipe, 0))
    # They meet in a file of a folder that nobody else can enter: a port could be reached by every user of the machine.
    private = Path(tempfile.mkdtemp(prefix="mythos-"))
    others: list[_Other] = []
    dead: Queue[_Other] = Queue()
    try:
        for index in range(1, num):
            others.append(_Other(recipe, index, private / "meeting", folder, resumed, dead))
        for other in others:
            other.wait_until_ready()
        with _on_loopback(), _grouped(rank, _store(private / "meeting", num)):
            for other in others:
                other.watch()
            yield rank
        for other in others:
            other.let_end()
    except (Diverged, RankDied):
        raise
    except RuntimeError as error:  # what a broken connection is; whose, the first to die says
        with suppress(Empty):
            raise dead.get(timeout=_GRACE_SECONDS).death() from error
        raise
    finally:
        for other in others:
            other.end()
        shutil.rmtree(private, ignore_errors=True)


def _store(path: Path, num: int) -> FileStore:
    store = FileStore(str(path), num)
    store.set_timeout(_TIMEOUT)
    return store


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Ranks that all stand on this machine reach each other by its loopback."""
    name = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    ours = {variable for variable in _INTERFACES if name is not None and variable not in os.environ}
    os.environ.update(dict.fromkeys(ours, str(name)))
    try:
        yield
    finally:
        for variable in ours:
            os.environ.pop(variable, None)


@contextmanager
def _grouped(rank: Rank, store: FileStore | None) -> Iterator[None]:
    """The process group; ranks and address come from the environment where there is no store."""
    device = rank.device if rank.device.type == "cuda" else None
    if device is not None:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "gloo" if device is None else "nccl",
        store=store,
        rank=rank.index,
        world_size=rank.num,
        timeout=_TIMEOUT,
        device_id=device,
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


class _Other:
    """A rank that this process has started."""

    def __init__(
        self, recipe: Recipe, index: int, meeting: Path, folder: Path, resumed: bool, dead: Queue[_Other]
    ) -> None:
        self.index, self.log, self._dead = index, folder / f"rank-{index}.log", dead
        self._ending, self._watcher = False, threading.Thread(target=self._watch, daemon=True)
        self._ready, write = os.pipe()
        how = ["resumed" if resumed else "new", json.dumps(devices_of(recipe))]
        said = [str(folder.absolute()), str(index), str(meeting), str(write), *how]
        # What this process can import it can import too; and two spinning thread pools on the same cores are slow.
        more = {"PYTHONPATH": search_path(), "OMP_WAIT_POLICY": "PASSIVE"}
        with open_log(self.log, anew=True) as log:
            self.process = subprocess.Popen(
                python_module("mythos_lab.training.follower", *said),
                env=environment(more),
                stdin=subprocess.PIPE,  # which ends when this process does
                stdout=log,
                stderr=log,
                pass_fds=[write],
                start_new_session=True,  # Ctrl-C is for rank 0 alone, which may want to save with the others
            )
        os.close(write)

    def wait_until_ready(self) -> None:
        """Return when the rank is about to meet the others.

        Raises:
            RankDied: It never will.
        """
        if not os.read(self._ready, 1):
            raise self.death()

    def watch(self) -> None:
        """Report its death, and break what waits for it. Gloo notices by itself; NCCL would wait."""
        self._watcher.start()

    def _watch(self) -> None:
        os.read(self._ready, 1)
        if self.process.wait() != 0 and not self._ending:
            self._dead.put(self)
            if dist.group.WORLD is not None:
                dist.group.WORLD.abort()

    def death(self) -> RankDied:
        """What it died of."""
        return RankDied(self.index, self.process.wait(), self.log)

    def let_end(self) -> None:
        """Give it the time to end by itself."""
        self._ending = True
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_SECONDS)

    def end(self) -> None:
        """End it, if it has not."""
        self._ending = True
        self.process.kill()
        self.process.wait()
        if self._watcher.is_alive():
            self._watcher.join()
        os.close(self._ready)
        assert self.process.stdin is not None
        self.process.stdin.close()


def _end_with_rank_0() -> None:
    os.read(0, 1)  # nothing is ever written there, so this returns when rank 0 has closed it
    os._exit(1)


@contextmanager
def _cores_shared(recipe: Recipe, num: int) -> Iterator[None]:
    """Each of ``num`` processes takes its part of the threads that this one has, unless the recipe says how many."""
    before = torch.get_num_threads()
    if recipe.training.num_threads is None and device_type(recipe) == "cpu":
        torch.set_num_threads(max(1, before // num))
    elif recipe.training.num_threads is not None:
        torch.set_num_threads(recipe.training.num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
