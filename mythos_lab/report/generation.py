"""Generated tokens on a terminal, each in the colour of the loops that it took."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.text import Text

from mythos_lab.recipe.screen import escaped
from mythos_lab.report.report import Report
from mythos_lab.report.terminal import writable

# From few loops to many, legible on light and on dark grounds, and told apart without telling red from green.
_COLOURS = ("#6b7fb3", "#3f9ac9", "#2ca58d", "#c08a1e", "#d1603d")


class NewToken(Protocol):
    """What is shown of a token."""

    @property
    def token(self) -> int: ...

    @property
    def text(self) -> str: ...

    @property
    def num_loops(self) -> int: ...


class Shown:
    """Within it, tokens are written as they come, behind their prompt; a pipe gets the text alone.

    Args:
        prompt: The text that they follow; ``None`` writes numbers.
        most: Loops that a token may take, at which the scale of colours ends.
    """

    def __init__(self, prompt: str | None, most: int) -> None:
        self._console, self._most, self._is_text = Console(highlight=False), most, prompt is not None
        self._write(prompt or "", "dim")

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write("\n")

    def show(self, new: NewToken) -> None:
        """Write one token."""
        share = min(1.0, (new.num_loops - 1) / max(1, self._most - 1))
        self._write(new.text if self._is_text else f"{new.token} ", _COLOURS[round(share * (len(_COLOURS) - 1))])

    def _write(self, text: str, style: str = "") -> None:
        clean = writable(escaped(text, "\n\t"), self._console.file)
        self._console.print(Text(clean, style=style), end="", soft_wrap=True)
        self._console.file.flush()


def generation_report(found: Sequence[NewToken]) -> Report:
    """What was generated, and the loops that it took."""
    loops = [each.num_loops for each in found]
    report = Report()
    mean = sum(loops) / len(loops)
    tokens = [each.token for each in found]
    report.say(
        f"tokens: {' '.join(map(str, tokens))}", {"text": "".join(each.text for each in found), "tokens": tokens}
    )
    report.say(f"loops:  {' '.join(map(str, loops))}", {"loops": loops})
    report.say(f"{len(found)} tokens, {mean:.3g} loops a token ({min(loops)} to {max(loops)})", {"mean_loops": mean})
    return report
