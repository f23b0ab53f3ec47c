"""Texts from outside, made fit for the columns of any database, for a line of a log, and for a terminal."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

LIMIT: Final = 255
"""How many characters a column of a key or a name holds."""

SHOWN: Final = 1000
"""How many characters of a text are shown."""

_HASH = 16
_LOOKED_AT = 8 * SHOWN
_SECRET = re.compile(r"ws_[0-9A-Fa-f]{8,}")
_MOST_ERRORS = 20
_PARAMETERS = "[parameters: "  # what SQLAlchemy puts before the values of a statement, which are those of a payload
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_PASSWORD = re.compile(r"(://[^\s:/@]*:)\S{0,500}@")


def shown(value: object, limit: int = SHOWN) -> str:
    """The text of a value as a log and a terminal may show it: one line of up to ``limit`` characters.

    What would move the cursor, break the line or turn its direction is written as Python
    writes it in a literal; secrets of Whop's form and passwords in URLs are left out.
    """
    # First a piece that is longer than what is shown, so that the cut goes through no secret.
    text = redacted(_text_of(value)[:_LOOKED_AT])
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def redacted(text: str) -> str:
    """The text without secrets of Whop's form and without passwords in URLs."""
    if "ws_" in text or "://" in text:
        return _PASSWORD.sub(r"\1***@", _SECRET.sub("ws_***", text))
    return text


def shown_error(error: BaseException) -> str:
    """The traceback of an exception, and of those that led to it, as a log and a terminal may show it.

    What each of them says is one line. It never raises.
    """
    return "\n".join(_error_lines(error, set()))


def _error_lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen and len(seen) < _MOST_ERRORS:
        yield from _error_lines(before, seen)
        yield from ("", _CAUSE if error.__cause__ else _CONTEXT, "")
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):"
        for frame in traceback.format_tb(error.__traceback__):
            yield from map(shown, frame.splitlines())
    yield _summary(error)
    for part in getattr(error, "exceptions", ()):
        if isinstance(part, BaseException) and id(part) not in seen and len(seen) < _MOST_ERRORS:
            yield from (f"  | {line}" for line in _error_lines(part, seen))


def _summary(error: BaseException) -> str:
    try:
        told = "".join(traceback.format_exception_only(type(error), error)).strip()
        head, parameters, _ = told.partition(_PARAMETERS)
        return shown(f"{head}{_PARAMETERS}left out]" if parameters else head)
    except Exception:  # noqa: BLE001  # whatever an exception does that cannot be written
        return shown(type(error).__qualname__)


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # likewise
        return f"<{type(value).__qualname__}>"


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
