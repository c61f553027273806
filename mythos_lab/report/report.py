"""What a verb has to say, as data: tables and sentences in their order, and the facts that they tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mythos_lab.recipe.urls import in_text, recorded
from mythos_lab.report.table import Table, plain


@dataclass(frozen=True)
class Sentence:
    """One sentence.

    Attributes:
        text: Its words.
        is_whole: Whether it is to be copied, as commands and paths are, and so never folded.
        is_head: Whether it heads what follows.
        indent: Columns before it.
    """

    text: str
    is_whole: bool = False
    is_head: bool = False
    indent: int = 0


@dataclass
class Report:
    """Parts in the order in which they are read, and one JSON document of the same.

    Attributes:
        parts: Sentences and tables.
        facts: The document.
    """

    parts: list[Sentence | Table] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def say(
        self,
        text: str,
        facts: Mapping[str, Any] | None = None,
        *,
        whole: bool = False,
        head: bool = False,
        indent: int = 0,
    ) -> None:
        """Add a sentence, and what it tells under names of its own."""
        self.parts.append(Sentence(in_text(text), whole, head, indent))
        self.know(facts or {})

    def show(self, key: str, table: Table) -> None:
        """Add a table, whose rows are a list of that name in the document."""
        self.parts.append(table)
        self.know({key: table.records()})

    def know(self, facts: Mapping[str, Any]) -> None:
        """Add what is for the document alone: other names of what a sentence says, or lists of sentences."""
        for key, value in facts.items():
            self.facts[key] = recorded(plain(value))
