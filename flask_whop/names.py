"""What receivers are called everywhere, and texts made fit to be stored, logged and printed."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from hashlib import sha256
from inspect import isroutine
from pathlib import Path
from types import MethodType
from typing import Any, Final

_MAIN: Final = frozenset({"__main__", "__mp_main__"})
"""What a module is called that a process was started with; the second, in multiprocessing's children."""

_DEEPEST = 100

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


def name_of(receiver: Callable[..., object]) -> str:
    """The name of ``receiver`` in receipts and logs, the same in each process: ``module:qualname``.

    The module is called as an import calls it, however the process was started:
    ``python shop.py``, ``python -m shop``, ``flask --app shop``, gunicorn or Celery.
    """
    target = receiver
    while isinstance(target, partial):
        target = target.func
    named = target if hasattr(target, "__qualname__") else type(target)
    module = named.__module__
    return f"{_imported(module, receiver) if module in _MAIN else module}:{named.__qualname__}"


def layers(receiver: Callable[..., object]) -> Iterator[Callable[..., Any]]:
    """Yield the functions that a call of ``receiver`` runs, from the outermost inwards.

    It looks through ``functools.partial``, bound methods, objects that can be called,
    and decorators that used ``functools.wraps``.
    """
    layer: Any = receiver
    for _ in range(_DEEPEST):  # since __wrapped__ may lead in a circle
        if isinstance(layer, partial):
            layer = layer.func
        elif isinstance(layer, MethodType):
            layer = layer.__func__
        else:
            called = layer if isroutine(layer) else type(layer).__call__
            yield called
            layer = getattr(layer, "__wrapped__", None) or getattr(called, "__wrapped__", None)
            if not callable(layer):
                return


def innermost(receiver: Callable[..., object]) -> Callable[..., Any]:
    """The function that was written down, behind all that was made of it."""
    *_, function = layers(receiver)
    return function


def namespace_of(receiver: Callable[..., object]) -> Mapping[str, Any]:
    """The names of the module in which the innermost function of ``receiver`` is defined."""
    names: Mapping[str, Any] = getattr(innermost(receiver), "__globals__", {})
    return names


def _imported(module: str, receiver: Callable[..., object]) -> str:
    """What an import calls the module that this process was started with."""
    names = namespace_of(receiver)
    if names.get("__name__") != module:
        names = vars(sys.modules[module]) if module in sys.modules else {}
    spec, file = names.get("__spec__"), names.get("__file__")
    if spec is not None and spec.name not in _MAIN:
        return str(spec.name)  # it was started with -m
    return module if file is None else _walked(file)


@lru_cache
def _walked(file: str) -> str:
    """The name that ``file`` is imported by, found as ``flask --app`` does: up, past each folder with __init__.py."""
    path = Path(file).resolve()
    if path.suffix in {".py", ".pyc"}:
        path = path.with_suffix("")
    if path.name == "__init__":
        path = path.parent
    parts = [path.name]
    while (path := path.parent).name and (path / "__init__.py").exists():
        parts.insert(0, path.name)
    return ".".join(parts)


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
