"""Two long values: where they part."""

from __future__ import annotations

_BEFORE = 12  # characters of what is common that lead up to the difference


def apart(a: str, b: str, longest: int) -> tuple[str, str]:
    """Both texts, or, where one is long, what of them differs with a little of what stands before and behind.

    Two different texts never come out the same. What was left out is marked by an ellipsis; no number is parted by it.

    Args:
        a: The one text.
        b: The other.
        longest: Characters up to which both are shown whole.
    """
    if a == b or max(len(a), len(b)) <= longest:
        return a, b
    start = _common(a, b)
    end = min(_common(a[::-1], b[::-1]), min(len(a), len(b)) - start)
    # Out to where no word or number is parted, in both texts.
    start = _outward(a, max(0, start - _BEFORE), -1)
    stops = [len(text) - end + _BEFORE for text in (a, b)]
    stops = [_outward(text, min(len(text), stop), 1) for text, stop in zip((a, b), stops, strict=True)]
    shown = [
        ("... " if start else "") + text[start:stop] + (" ..." if stop < len(text) else "")
        for text, stop in zip((a, b), stops, strict=True)
    ]
    return shown[0], shown[1]


def _common(a: str, b: str) -> int:
    """Characters that both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _outward(text: str, at: int, step: int) -> int:
    """The nearest place at or beyond one, in the direction of the step, at which a space or an end stands."""
    while 0 < at < len(text) and not (text[at - 1].isspace() or text[at].isspace()):
        at += step
    return at
