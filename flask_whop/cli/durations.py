"""Times on the command line: how long ago, in words as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
else:
    _Seconds = click.ParamType  # generic in the newest click alone

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(_Seconds):
    """A time such as ``90s``, ``30m``, ``2h`` or ``7d``, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text; fail with what would do."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time; write 90s, 30m, 2h or 7d.", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


def moment(seconds: float | None) -> str | None:
    """A unix time as people read it, in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
