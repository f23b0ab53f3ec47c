"""Stand-ins for values that may be personal: of the same form, and the same for the same value."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from datetime import datetime, timezone
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from flask_whop.events.samples.facts import prefixes

if TYPE_CHECKING:
    from pydantic import JsonValue

TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})?", re.ASCII)
"""A time as Whop writes it."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DIGITS = re.compile(r"\d{1,20}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,20}\.\d{1,20}", re.ASCII)
_PHONE = re.compile(r"\+[\d ().\-]{5,24}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_ID = re.compile(r"([a-z]+)_[0-9A-Za-z]{1,64}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_LETTERS = 14
_MOST_DIGITS = 15
_FIRST_SECOND = 946_684_800  # of the year 2000
_SECONDS = 600_000_000  # about nineteen years


class StandIns:
    """Makes stand-ins with a key.

    Nobody gets from a stand-in to its value, nor finds out whether it stands for a value
    that they guess, unless they have the key.
    """

    def __init__(self, key: str) -> None:
        self._key = sha256(f"flask_whop recording {key}".encode()).digest()
        self._numbers: dict[str, int] = {}

    def of(self, value: JsonValue) -> JsonValue:
        """Return a stand-in for a value, and for everything in it; null stays."""
        if isinstance(value, dict):
            return {self.name(name): self.of(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if value is None or isinstance(value, bool):
            return None if value is None else False
        if isinstance(value, str):
            return self.text(value)
        number = self._number(repr(value))
        if isinstance(value, int):
            return int(str(number)[-min(len(str(abs(value))), _MOST_DIGITS) :])
        # A count or an age may have a point in JSON, too.
        return float(number % 100) if value.is_integer() else (number % 1_000_000) / 1_000_000

    def name(self, name: str) -> str:
        """Return a stand-in for a name that somebody has given."""
        return f"key_{self._letters(name)}"

    def text(self, text: str) -> str:
        """Return a stand-in for a text, of the same form: an address, a time, an id, digits, or just a text."""
        stripped, letters, number = text.strip(), self._letters(text), self._number(text)
        if not stripped:
            return ""
        if _EMAIL.fullmatch(stripped):
            return f"{letters.lower()}@example.com"
        if re.match("[a-z]+://", stripped, re.IGNORECASE):
            return f"https://example.com/{letters}"
        if match := _ID.fullmatch(stripped):
            return f"{match[1] if match[1] in prefixes() else 'id'}_{letters}"
        return _like(stripped, number) or f"stand-in {letters}"

    def _number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            digest = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")
            number = self._numbers[text] = int.from_bytes(digest, "big")
        return number

    def _letters(self, text: str) -> str:
        number, letters = self._number(text), []
        for _ in range(_LETTERS):
            number, index = divmod(number, len(_ALPHABET))
            letters.append(_ALPHABET[index])
        return "".join(letters)


def _like(text: str, number: int) -> str | None:
    """Return a time, digits, a phone number, a country or an IP address in the form of ``text``; None if it's none."""
    for form, write in _FORMS:
        if form.fullmatch(text):
            return write(number, len(text))
    try:
        version = ip_address(text).version
    except ValueError:
        return None
    return f"203.0.113.{number % 254 + 1}" if version == 4 else f"2001:db8::{number % 0xFFFF:x}"  # noqa: PLR2004  # IPv4


def _moment(number: int) -> datetime:
    return datetime.fromtimestamp(_FIRST_SECOND + number % _SECONDS, tz=timezone.utc)


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[int, int], str]], ...]] = (
    (TIME, lambda number, _: f"{_moment(number):%Y-%m-%dT%H:%M:%S}.000Z"),
    (_DATE, lambda number, _: f"{_moment(number):%Y-%m-%d}"),
    (_DIGITS, lambda number, length: str(number)[-length:]),
    (_DECIMAL, lambda number, _: f"{number % 1000}.{number % 89 + 10}"),
    (_PHONE, lambda number, _: f"+999{number % 10**9:09}"),  # no country has this code
    (_COUNTRY, lambda *_: "ZZ"),  # ISO 3166 gives it to nobody
)
