"""A place for files that fsspec reaches, as Optuna's artifacts know it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound


class PlaceOfFiles:
    """An ``optuna.artifacts`` store in a folder of any place that fsspec reaches.

    Args:
        fs: The file system.
        folder: The folder, made when the first file is written.
        patiently: Calls something again while the place does not answer.
    """

    def __init__(self, fs: Any, folder: PurePosixPath, patiently: Callable[[Callable[[], Any]], Any]) -> None:
        self._fs, self._folder, self._patiently = fs, folder, patiently

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """A file, to be read.

        Raises:
            ArtifactNotFound: There is none.
        """
        return self._found(lambda: self._fs.open(self._path(artifact_id), "rb"))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file."""
        content, path = content_body.read(), self._path(artifact_id)

        def write() -> None:
            self._fs.makedirs(str(self._folder), exist_ok=True)
            self._fs.pipe_file(path, content)

        self._patiently(write)

    def remove(self, artifact_id: str) -> None:
        """Remove a file.

        Raises:
            ArtifactNotFound: There is none.
        """
        self._found(lambda: self._fs.rm_file(self._path(artifact_id)))

    def _found(self, call: Callable[[], Any]) -> Any:
        try:
            return self._patiently(call)
        except FileNotFoundError as error:
            raise ArtifactNotFound("not found") from error

    def _path(self, artifact_id: str) -> str:
        path = self._folder / artifact_id
        if path.parent != self._folder or artifact_id == "..":
            raise ValueError(f"Invalid artifact_id: {artifact_id}")
        return str(path)
