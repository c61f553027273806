"""A data set: documents that are made here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from mythos_blocks import Component, component
from mythos_blocks.declaring.types import Many
from mythos_lab.tasks.text.skips import Item, text_or_reason


@component("dataset", "skeleton")
class Skeleton(Component):
    """Squares, a document each; put a reader of yours in its place.

    Args:
        num_documents: Documents.
    """

    place, field = "squares", "dataset"
    num_files: int | None = None

    def __init__(self, *, num_documents: Many = 2000) -> None:
        self.num_documents = num_documents

    def key(self) -> str:
        """A hash of what decides the documents: tokens are kept by it."""
        return hashlib.sha256(f"squares {self.num_documents}".encode()).hexdigest()

    def documents(self) -> Iterator[Item]:
        for n in range(self.num_documents):
            yield text_or_reason(f"document {n}", f"{n} squared is {n * n}.")

    def hint(self) -> str:
        """Why there may be no document, for a message."""
        return ""

    def unread(self) -> str:
        """What looks as if it was meant to be read, and was not."""
        return ""
