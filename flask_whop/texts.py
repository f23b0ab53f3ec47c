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
    clean = text.replace("\x00", "").encode("utf-8", "replace").decode()
    if len(clean) <= limit:
        return clean
    return clean[: limit - _HASH - 1] + "~" + sha256(clean.encode()).hexdigest()[:_HASH]
