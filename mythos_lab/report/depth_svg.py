"""A depth curve as a small SVG of its own.

Trials have one each. By matplotlib a worker's first figure takes 2.5 s of a processor and each further one 0.1 s, where
a trial may train for ten; these are strings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from mythos_lab.report.page.palette import INK, MUTED, PAPER, RULE, SERIES

_WIDTH, _HEIGHT = 480, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 464, 16, 196  # of the plane

_PAGE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    'font-family="sans-serif" font-size="12">\n<rect width="{width}" height="{height}" fill="{paper}"/>\n{parts}\n'
    "</svg>\n"
)
_LINE = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>')
_TEXT = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="{}">{}</text>')
_BAND = Markup('<polygon points="{}" fill="{}" fill-opacity="0.2"/>')
_CURVE = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>')
_POINT = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>')


def depth_svg(
    counts: Sequence[int],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    unit: str,
    *,
    is_share: bool = False,
) -> str:
    """Quality against the number of loops, whose axis is logarithmic, with its intervals; the same bytes each time.

    Args:
        counts: Loop counts, ascending.
        values: The quality at each; what is no finite number is left out.
        intervals: Both ends of its interval at each; empty where there are none.
        unit: What the quality is.
        is_share: Whether it lies between 0 and 1.
    """
    known = [n for n, value in enumerate(values) if math.isfinite(value)]
    ends = [end for n in known for end in (values[n], *(intervals[n] if intervals else ())) if math.isfinite(end)]
    low, high = (0.0, 1.0) if is_share or not ends else (min(ends), max(ends))
    first, last = math.log2(max(1, counts[0])), math.log2(max(1, counts[-1]))

    def x(n: int) -> float:
        share = (math.log2(max(1, counts[n])) - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (_RIGHT - _LEFT)

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low) if high > low else 0.5
        return _BOTTOM - share * (_BOTTOM - _TOP)

    def points(places: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{across:.1f},{down:.1f}" for across, down in places)

    ink, muted, series = INK.light, MUTED.light, SERIES[0].light
    parts = []
    for value in dict.fromkeys((low, high)):
        parts.append(_LINE.format(_LEFT, y(value), _RIGHT, y(value), RULE.light))
        parts.append(_TEXT.format(_LEFT - 6, y(value) + 4, "end", muted, f"{value:.3g}"))
    for n, count in enumerate(counts):
        if count & (count - 1) == 0 or len(counts) == 1:  # powers of two have room for their labels
            parts.append(_TEXT.format(x(n), _BOTTOM + 18, "middle", muted, count))
    parts.append(_TEXT.format((_LEFT + _RIGHT) / 2, _HEIGHT - 8, "middle", ink, "loops"))
    parts.append(_TEXT.format(_LEFT, _TOP - 4, "start", ink, unit))
    if intervals:
        around = [(x(n), y(intervals[n][1])) for n in known] + [(x(n), y(intervals[n][0])) for n in reversed(known)]
        parts.append(_BAND.format(points(around), series))
    parts.append(_CURVE.format(points([(x(n), y(values[n])) for n in known]), series))
    parts += [_POINT.format(x(n), y(values[n]), series) for n in known]
    return str(_PAGE.format(width=_WIDTH, height=_HEIGHT, paper=PAPER.light, parts=Markup("\n").join(parts)))
