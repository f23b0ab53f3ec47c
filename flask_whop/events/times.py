"""Times, in the two forms in which Whop sends them."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AwareDatetime, BeforeValidator

# Pydantic takes numbers above the first for milliseconds. Up to the second, the end of the year 9999, they can as
# well be seconds, which is what Whop sends; whatever is above it cannot.
_MILLISECONDS_FROM: Final = 20_000_000_000
_LAST_SECOND: Final = 253_402_300_799
# From 1973 to 2286 in seconds, and the same in milliseconds: shorter and other texts of digits are dates (20261102,
# 20261102100000), which pydantic takes for seconds as well.
_UNIX: Final = re.compile(r"\d{9,10}(\.\d+)?|\d{13}(\.\d+)?", re.ASCII)
_DIGITS: Final = re.compile(r"[+-]?[\d.]+")


def _unambiguous(value: object) -> object:
    """Refuse what pydantic would make another time of than was meant."""
    if isinstance(value, str):
        if _DIGITS.fullmatch(value) and not _UNIX.fullmatch(value):
            raise ValueError("digits that are no unix time of these centuries")
    elif isinstance(value, bool):
        raise ValueError("neither true nor false is a time")  # noqa: TRY004  # pydantic collects ValueErrors alone
    elif isinstance(value, (int, float)) and _MILLISECONDS_FROM < abs(value) <= _LAST_SECOND:
        raise ValueError("a number that is a time in seconds, and another one in milliseconds")
    return value


Timestamp: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_unambiguous)]
"""A time with its zone, from ISO 8601 text or from unix seconds.

What could be another time too stays what it was, as drift: a time without a zone, a
number between 20,000,000,000 and 253,402,300,799 (seconds of the years 2603 to 9999, or
milliseconds of the 1970s), or a date of digits alone.
"""
