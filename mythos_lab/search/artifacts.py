"""A study's runs in a place that its machines reach, where these share no folder: one goes on where another stopped.

A run's files are copied there at every validation, when its checkpoint is whole, and when it ends or is laid down. Who
goes on with a trial, or reads its runs, brings them into the study's folder first. A listing, which is written last,
says which files are the run's and what they hash to, so that a copy that was broken off is not seen. What stands there
is data that others may have written: a listing names files of a run and no others, each is held to its hash here, and
to its seal and its run's key wherever runs are read.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

import fsspec
import optuna
from optuna.artifacts._protocol import ArtifactStore
from optuna.trial import FrozenTrial
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mythos_lab.recipe.errors import Misplaced, RecipeError, Unreachable
from mythos_lab.recipe.outputs import clear
from mythos_lab.recipe.places import inside, is_name
from mythos_lab.recipe.reading import read_at_most
from mythos_lab.recipe.urls import in_text, without_password
from mythos_lab.search.attributes import ARTIFACTS, FOLDER, UID
from mythos_lab.search.faults import is_lasting
from mythos_lab.search.patience import Patience
from mythos_lab.search.place_of_files import PlaceOfFiles
from mythos_lab.search.spaces.space import ARTIFACTS_VARIABLE, Space
from mythos_lab.search.trial_folder import folder_of
from mythos_lab.training.checkpoint import num_steps_of
from mythos_lab.training.result import CHECKPOINT, RESULT, STATE, key_of

_MARK, _LISTING = "study.json", "listing.json"
_OF_A_RUN = re.compile(r"[a-z][a-z_]{0,40}\.(json|jsonl|yaml|ckpt|safetensors)")
_OF_A_TRIAL = re.compile(r"trials/[0-9]{4,}/seed-[0-9]+")
_MOST_FILES, _MAX_LISTING = 64, 2**16
_OPENING_SECONDS = 20.0  # in which a place that is named has to answer

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_File = Annotated[str, Field(pattern=f"^{_OF_A_RUN.pattern}$")]
_Step = Annotated[int, Field(ge=0, lt=2**53)]
_T = TypeVar("_T")


class _Listing(BaseModel):
    """Which files a run has there.

    Attributes:
        key: The run's.
        num_steps: Steps that its checkpoint covers.
        is_over: Whether it has a result.
        files: Hashes, by name.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    num_steps: _Step
    is_over: bool
    files: Annotated[dict[_File, _Hash], Field(max_length=_MOST_FILES)]

    def covers(self, other: _Listing | None) -> bool:
        """Whether it is as far as another of the same run, or there is no other."""
        return other is None or (
            self.key == other.key and (self.is_over, self.num_steps) >= (other.is_over, other.num_steps)
        )


class Artifacts:
    """The runs of one study in a place that its machines share.

    Args:
        url: The place, as fsspec takes it: a path, or a URL such as ``s3://bucket/folder``.
        study: The study's name, below which they lie.
        seconds: How long the place is waited for where it does not answer.

    Raises:
        RecipeError: No such kind of place, or what speaks with it is not installed.
    """

    def __init__(self, url: str, study: str, seconds: float = _OPENING_SECONDS) -> None:
        self.shown, self._seconds = without_password(url), seconds
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise RecipeError(f"artifacts {self.shown}: {in_text(' '.join(str(error).split()))[:200]}") from None
        self._root = PurePosixPath(root) / study

    def declare(self, uid: str) -> None:
        """Have the place be that of a study."""
        self._write(self._root / _MARK, json.dumps({UID: uid}).encode())

    def is_of(self, uid: str) -> bool:
        """Whether the place is that of a study."""
        return self.mark() == json.dumps({UID: uid}).encode()

    def mark(self) -> bytes | None:
        """What says whose place it is, as a study's folder has it too; ``None`` where nothing was kept there."""
        return self._read(self._root / _MARK)

    def runs_of(self, trial: FrozenTrial | optuna.Trial) -> list[str]:
        """The names of a trial's runs that lie there, one a seed."""
        place = self._root / str(trial.user_attrs[FOLDER])
        found = self._patiently(lambda: self._fs.ls(str(place), detail=False) if self._fs.exists(str(place)) else [])
        names = sorted({PurePosixPath(path).name for path in found})
        return [name for name in names if name.startswith("seed-") and is_name(name)]

    def store(self, name: str) -> ArtifactStore:
        """A folder there for the files of trials that Optuna's own clients show."""
        return PlaceOfFiles(self._fs, self._root / name, self._patiently)

    def keep(self, folder: Path, name: str) -> None:
        """Copy a run there, unless it is farther there already.

        Args:
            folder: The run's, on this machine.
            name: Where it lies there: the trial's folder and the run's name.
        """
        if (here := _listing_of(folder)) is None:
            return
        place = self._root / name
        there = self._listing(place)
        if there is not None and there.key == here.key and not here.covers(there):
            return
        old = set() if there is None else set(there.files.values())
        for file, digest in here.files.items():
            if digest not in old:
                self._patiently(partial(self._put, folder / file, place / digest))
        self._write(place / _LISTING, here.model_dump_json().encode())
        for digest in old - set(here.files.values()):
            self._patiently(partial(self._remove, place / digest))

    def bring(self, folder: Path, name: str) -> None:
        """Bring a run from there, unless it is as far here.

        Args:
            folder: The run's, on this machine; made where there is none.
            name: Where it lies there.

        Raises:
            Misplaced: What is there is none of a run, or not what its listing says.
        """
        place = self._root / name
        if (there := self._listing(place)) is None:
            return
        here = _listing_of(folder)
        if here is not None and here.covers(there):
            return
        folder.mkdir(parents=True, exist_ok=True)
        clear(folder / STATE)  # without which there is no run here, should this be broken off
        for path in folder.iterdir():
            if _OF_A_RUN.fullmatch(path.name) and path.name not in there.files:
                clear(path)
        for file in sorted(there.files, key=lambda file: file == STATE):
            self._bring(place / there.files[file], folder / file, there.files[file])

    def _bring(self, place: PurePosixPath, path: Path, digest: str) -> None:
        beside = path.with_name(f"{path.name}.partial")
        clear(beside)
        try:
            self._patiently(lambda: self._fs.get_file(str(place), str(beside)))
        except FileNotFoundError:
            raise Misplaced(f"artifacts {self.shown}: {place}: is missing, and its run's listing names it") from None
        if _hash(beside) != digest:
            clear(beside)
            raise Misplaced(f"artifacts {self.shown}: {place}: is not what its run's listing says; take the run away")
        beside.replace(path)

    def _listing(self, place: PurePosixPath) -> _Listing | None:
        if (written := self._read(place / _LISTING)) is None:
            return None
        try:
            return _Listing.model_validate_json(written)
        except ValidationError:
            raise Misplaced(f"artifacts {self.shown}: {place / _LISTING}: is no listing of a run") from None

    def _read(self, place: PurePosixPath) -> bytes | None:
        try:
            return bytes(self._patiently(lambda: self._fs.cat_file(str(place), end=_MAX_LISTING)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _write(self, place: PurePosixPath, content: bytes) -> None:
        beside = place.with_name(f"{place.name}.{time.time_ns()}")

        def write() -> None:
            self._fs.makedirs(str(place.parent), exist_ok=True)
            self._fs.pipe_file(str(beside), content)
            self._fs.mv(str(beside), str(place))

        self._patiently(write)

    def _put(self, path: Path, place: PurePosixPath) -> None:
        self._fs.makedirs(str(place.parent), exist_ok=True)
        self._fs.put_file(str(path), str(place))

    def _remove(self, place: PurePosixPath) -> None:
        if self._fs.exists(str(place)):
            self._fs.rm_file(str(place))

    def _patiently(self, call: Callable[[], _T]) -> _T:
        patience = Patience(f"artifacts {self.shown}", self._seconds)
        while True:
            try:
                answer = call()
            except (FileNotFoundError, NotADirectoryError):
                raise
            except Exception as error:  # each kind of place has errors of its own
                if is_lasting(error) or not patience.wait(error):
                    said = in_text(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
                    raise Unreachable(f"artifacts {self.shown}: {said}") from error
            else:
                patience.answered()
                return answer


def artifacts_of(space: Space, seconds: float = _OPENING_SECONDS) -> Artifacts | None:
    """Where a study keeps its runs beside its folder; ``None`` where its machines share that.

    Args:
        space: The study's space.
        seconds: How long the place is waited for where it does not answer.
    """
    return None if space.artifacts is None else Artifacts(space.artifacts, space.file.name, seconds)


def declare_artifacts(space: Space, study: optuna.Study, *, is_new: bool) -> None:
    """Write down which of two ways a new study's machines share its runs; hold whoever enters an older one to it.

    Raises:
        RecipeError: The other way, or another place.
    """
    said, artifacts = study.user_attrs.get(ARTIFACTS), artifacts_of(space)
    remedy = f"--artifacts or {ARTIFACTS_VARIABLE}"
    if said is None and artifacts is not None:
        if not is_new:
            raise RecipeError(
                f"{space.source}: the study {space.file.name!r} was begun with one folder for all its machines; leave "
                f"out {remedy}, or begin another study"
            )
        artifacts.declare(study.user_attrs[UID])
        study.set_user_attr(ARTIFACTS, artifacts.shown)
    elif said is not None and artifacts is None:
        raise RecipeError(
            f"{space.source}: the study {space.file.name!r} keeps its runs in {said}; name that place by {remedy}"
        )
    elif artifacts is not None and not artifacts.is_of(study.user_attrs[UID]):
        raise RecipeError(
            f"artifacts {artifacts.shown}: has nothing of the study {space.file.name!r}, which keeps its runs in {said}"
        )


def bring_runs(space: Space, trial: FrozenTrial) -> Path:
    """The folder of a trial's runs on this machine, with all that is kept of them; errors of :class:`Artifacts`."""
    folder, artifacts = folder_of(space, trial), artifacts_of(space)
    if artifacts is not None:
        for name in artifacts.runs_of(trial):
            artifacts.bring(inside(folder, name, f"artifacts {artifacts.shown}"), f"{trial.user_attrs[FOLDER]}/{name}")
    return folder


def bring_run(folder: Path, place: str) -> None:
    """Bring a run of a study that has not ended on this machine, if its folder's name is that of one.

    Args:
        folder: Its folder, which a study calls ``STUDY/trials/0003/seed-0``; of another, nothing is brought.
        place: Where the study keeps its runs, a path or a URL that fsspec takes.

    Raises:
        RecipeError: The study that lies here is not the one whose runs are kept there.
        Misplaced: What is kept there is none of a run.
    """
    folder = folder.absolute()
    if (folder / RESULT).is_file() or (found := _OF_A_TRIAL.fullmatch("/".join(folder.parts[-3:]))) is None:
        return
    study = folder.parents[2]
    artifacts = Artifacts(place, study.name)
    if (mark := study / _MARK).is_file() and read_at_most(mark, _MAX_LISTING, "mark of a study") != artifacts.mark():
        raise RecipeError(f"artifacts {artifacts.shown}: has nothing of the study whose folder is {study}")
    artifacts.bring(folder, found[0])


def _listing_of(folder: Path) -> _Listing | None:
    """What of a run is on this machine; ``None`` where it is not begun, or of before there were keys of this form."""
    if not (folder / STATE).is_file() or (key := key_of(folder)) is None:
        return None
    files = [path for path in sorted(folder.iterdir()) if _OF_A_RUN.fullmatch(path.name)]
    files = [path for path in files if path.is_file() and not path.is_symlink()]
    checkpoint = folder / CHECKPOINT
    num_steps = num_steps_of(checkpoint) if checkpoint.is_file() else 0
    return _Listing(
        key=key,
        num_steps=num_steps,
        is_over=(folder / RESULT).is_file(),
        files={path.name: _hash(path) for path in files},
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def validated(keep: Callable[[], None], then: Callable[[int, Any], None] | None) -> Callable[[int, Any], None]:
    """What is called after a validation: the run is kept first, as what is told of it may end it."""

    def on_validation(step: int, scores: Any) -> None:
        keep()
        if then is not None:
            then(step, scores)

    return on_validation
