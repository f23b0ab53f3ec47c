"""Texts from outside, made fit for the columns of any database."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

LIMIT: Final = 255
"""How many characters a column of a key or a name holds."""

_HASH = 32


def storable(text: str, limit: int = LIMIT) -> str:
    """The text without what some database refuses: NUL, halves of surrogate pairs, and too much of it.

    One that is cut ends in a hash of the whole, so that two stay two.
    """
    if len(text) <= limit and text.isascii() and "\x00" not in text:
        return text
    return _cut(text.replace("\x00", "").encode("utf-8", "replace").decode(), limit)


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
