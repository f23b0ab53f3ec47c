"""Texts from outside, made fit for the columns of any database, for a line of a log, and for a terminal."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

LIMIT: Final = 255
"""How many characters a column of a key or a name holds."""

SHOWN: Final = 1000
"""How many characters of a text are shown."""

_HASH = 16
_LOOKED_AT = 8 * SHOWN
_SECRET = re.compile(r"ws_[0-9A-Fa-f]{8,}")
_PASSWORD = re.compile(r"(://[^\s:/@]*:)\S{0,500}@")


def shown(value: object, limit: int = SHOWN) -> str:
    """The text of a value as a log and a terminal may show it: one line of up to ``limit`` characters.

    What would move the cursor, break the line or turn its direction is written as Python
    writes it in a literal; secrets of Whop's form and passwords in URLs are left out.
    """
    text = value if isinstance(value, str) else str(value)
    # First a piece that is longer than what is shown, so that the cut goes through no secret.
    text = text[:_LOOKED_AT]
    if "ws_" in text or "://" in text:
        text = _PASSWORD.sub(r"\1***@", _SECRET.sub("ws_***", text))
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def storable(text: str, limit: int = LIMIT) -> str:
    """The text as any database keeps it and finds it again: printable ASCII, and not too much of it.

    What had to be changed for that ends in a hash of the original, so that two texts stay
    two.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and not text.endswith(" "):
        return text
    original = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{_escaped(text[:limit])[: limit - _HASH - 1]}~{original}"


def ascii_of(text: str) -> str:
    """The text with what is not ASCII written as escapes, for a database without such characters."""
    return text.encode("ascii", "backslashreplace").decode()


def _escaped(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in ascii_of(text))


def plain(text: str, limit: int = LIMIT) -> str:
    """The text in printable ASCII, which a database keeps and compares the same in whatever encoding it is.

    Two texts stay two: what is escaped is escaped as in Python, the backslash included.
    """
    escaped = text.encode("unicode_escape").decode("ascii")
    # MySQL does not see blanks at the end.
    blanks = len(escaped) - len(escaped.rstrip(" "))
    return _cut(escaped.rstrip(" ") + "\\x20" * blanks, limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - _HASH - 1] + "~" + sha256(text.encode()).hexdigest()[:_HASH]
