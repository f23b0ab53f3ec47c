"""The chart of the hours, laid out as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from flask_whop.engine.activity import Happening, Hour

WIDTH: Final = 960
HEIGHT: Final = 200

_GAP: Final = 0.2
_MOST_BARS: Final = 28
_STEPS: Final = (1, 2, 5, 10)


class Part(NamedTuple):
    """The part of a bar that stands for one thing that happened."""

    happening: Happening
    number: int
    top: float
    height: float


class Bar(NamedTuple):
    """What happened in some hours."""

    begins: float
    """In unix seconds."""
    left: float
    width: float
    parts: Sequence[Part]
    """From the bottom up."""

    @property
    def total(self) -> int:
        """How much happened in all."""
        return sum(part.number for part in self.parts)


class Chart(NamedTuple):
    """Bars, and the scale beside them."""

    bars: Sequence[Bar]
    top: int
    """What the height of the chart stands for."""
    happenings: Sequence[Happening]
    """What happened at all."""


def bars(hours: Sequence[Hour]) -> Chart:
    """Lay out the hours, several in one bar if there are many."""
    each = -(-len(hours) // _MOST_BARS)
    groups = [hours[start : start + each] for start in range(0, len(hours), each)]
    counts = [
        {happening: sum(hour.counts.get(happening, 0) for hour in group) for happening in Happening} for group in groups
    ]
    top = _round_up(max((sum(several.values()) for several in counts), default=0))
    step = WIDTH / max(1, len(groups))
    laid_out = [
        Bar(group[0].begins, number * step + step * _GAP / 2, step * (1 - _GAP), _parts(several, top))
        for number, (group, several) in enumerate(zip(groups, counts, strict=True))
    ]
    return Chart(laid_out, top, [one for one in Happening if any(several[one] for several in counts)])


def _parts(counts: Mapping[Happening, int], top: int) -> list[Part]:
    parts, foot = [], float(HEIGHT)
    for happening, count in counts.items():
        if count:
            height = max(2.0, HEIGHT * count / top)
            foot -= height
            parts.append(Part(happening, count, max(0.0, foot), height))
    return parts


def _round_up(most: int) -> int:
    """Return a round number that isn't less."""
    power = 1
    while True:
        for step in _STEPS:
            if step * power >= most:
                return step * power
        power *= 10
