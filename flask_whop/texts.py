"""Texts from outside, made fit for the columns of any database."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

LIMIT: Final = 255
"""How many characters a column of a key or a name holds."""

_HASH = 16


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
