"""Counts and articles in messages, as people write them."""

from __future__ import annotations

_VOWELS = "aeiou"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: ``1 delivery``, or ``2 deliveries``."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in _VOWELS:
        return f"{count} {noun[:-1]}ies"
    return f"{count} {noun}s"


def with_article(noun: str) -> str:
    """Write a noun with its article: ``a Payment``, or ``an IdentityProfile``."""
    return f"{'an' if noun[:1].lower() in _VOWELS else 'a'} {noun}"
