"""Times, in the two forms Whop sends."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AwareDatetime, BeforeValidator

# Pydantic reads numbers above the first as milliseconds. Up to the second, the end of the year 9999, they could also
# be seconds, which Whop sends; larger ones can't.
_MILLISECONDS_FROM: Final = 20_000_000_000
_LAST_SECOND: Final = 253_402_300_799
# From 1973 to 2286 in seconds or milliseconds. Other texts of digits are dates (20261102, 20261102100000), which
# pydantic would read as seconds.
_UNIX: Final = re.compile(r"\d{9,10}(\.\d+)?|\d{13}(\.\d+)?", re.ASCII)
_DIGITS: Final = re.compile(r"[+-]?[\d.]+")


def _unambiguous(value: object) -> object:
    """Refuse values that pydantic would read as a different time than was meant."""
    if isinstance(value, str):
        if _DIGITS.fullmatch(value) and not _UNIX.fullmatch(value):
            raise ValueError("digits that aren't a Unix time between 1973 and 2286")
    elif isinstance(value, bool):
        raise ValueError("a boolean is not a time")  # noqa: TRY004  # pydantic collects ValueErrors only
    elif isinstance(value, (int, float)) and _MILLISECONDS_FROM < abs(value) <= _LAST_SECOND:
        raise ValueError("a number that could be seconds or milliseconds")
    return value


Timestamp: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_unambiguous)]
"""A time with its zone, from ISO 8601 text or Unix seconds.

An ambiguous value is kept as sent, and is drift: a time without a zone, a number between
20,000,000,000 and 253,402,300,799 (seconds in the years 2603 to 9999, or milliseconds in
the 1970s), or a date that is only digits.
"""
