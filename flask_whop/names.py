"""Receiver names, and text made safe to store, log and print."""

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
"""The names of the module that a process was started with; the second is for multiprocessing's children."""

_DEEPEST = 100

LEGACY_ID: Final = "legacy_"
"""How the ids begin that we give to deliveries of Whop's legacy format, which have none."""

LIMIT: Final = 255
"""How many characters a key or name column holds."""

SHOWN: Final = 1000
"""How many characters of a text are shown."""

_HASH = 16
_LOOKED_AT = 8 * SHOWN
_SECRET = re.compile(r"ws_[0-9A-Fa-f]{8,}")
_MOST_ERRORS = 20
_PARAMETERS = "[parameters: "  # SQLAlchemy puts this before the values of a statement, which come from a payload
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_PASSWORD = re.compile(r"(://[^\s:/@]*:)\S{0,500}@")


def name_of(receiver: Callable[..., object]) -> str:
    """Return the name of ``receiver`` in receipts and logs, ``module:qualname``: the same in every process.

    The module has its import name, however the process was started: ``python shop.py``,
    ``python -m shop``, ``flask --app shop``, gunicorn or Celery.
    """
    target = receiver
    while isinstance(target, partial):
        target = target.func
    named = target if hasattr(target, "__qualname__") else type(target)
    module = named.__module__
    return f"{_imported(module, receiver) if module in _MAIN else module}:{named.__qualname__}"


def layers(receiver: Callable[..., object]) -> Iterator[Callable[..., Any]]:
    """Yield the functions that a call of ``receiver`` runs, outermost first.

    This looks through ``functools.partial``, bound methods, callable objects, and
    decorators that use ``functools.wraps``.
    """
    layer: Any = receiver
    for _ in range(_DEEPEST):  # __wrapped__ may form a cycle
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
    """Return the original function, behind all decorators, partials and bindings."""
    *_, function = layers(receiver)
    return function


def namespace_of(receiver: Callable[..., object]) -> Mapping[str, Any]:
    """Return the globals of the module that defines the innermost function of ``receiver``."""
    names: Mapping[str, Any] = getattr(innermost(receiver), "__globals__", {})
    return names


def _imported(module: str, receiver: Callable[..., object]) -> str:
    """Return the import name of the module that this process was started with."""
    names = namespace_of(receiver)
    if names.get("__name__") != module:
        names = vars(sys.modules[module]) if module in sys.modules else {}
    spec, file = names.get("__spec__"), names.get("__file__")
    if spec is not None and spec.name not in _MAIN:
        return str(spec.name)  # it was started with -m
    return module if file is None else _import_name(file)


@lru_cache
def _import_name(file: str) -> str:
    """Return the import name of ``file``, found as ``flask --app`` does: up past each folder with __init__.py."""
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
    """Return a value as safe text for a log or a terminal: one line of up to ``limit`` characters.

    Characters that would move the cursor, break the line or reverse its direction are
    escaped as in a Python literal; Whop secrets and passwords in URLs are left out.
    """
    # Redact more than is shown: a secret that the limit cuts in two would not be recognized.
    text = _escaped(redacted(_text_of(value)[:_LOOKED_AT]))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def redacted(text: str) -> str:
    """Return the text without Whop secrets and passwords in URLs."""
    if "ws_" in text or "://" in text:
        return _PASSWORD.sub(r"\1***@", _SECRET.sub("ws_***", text))
    return text


def shown_error(error: BaseException) -> str:
    """Return the traceback of an exception and its causes, as safe text for a log or a terminal.

    Each message is one line. Never raises.
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
        message = "".join(traceback.format_exception_only(type(error), error)).strip()
        head, parameters, _ = message.partition(_PARAMETERS)
        return shown(f"{head}{_PARAMETERS}left out]" if parameters else head)
    except Exception:  # noqa: BLE001  # the exception's own __str__ may raise anything
        return shown(type(error).__qualname__)


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # likewise
        return f"<{type(value).__qualname__}>"


def storable(text: str, limit: int = LIMIT) -> str:
    """Return the text in a form that any database stores and finds again: short printable ASCII.

    A text that had to change ends in a hash of the original, so distinct texts stay
    distinct.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and not text.endswith(" "):
        return text
    return _cut(_escaped(ascii_of(text[:limit])), limit, text.encode("utf-8", "surrogatepass"))


def ascii_of(text: str) -> str:
    """Return the text with escapes for all that isn't ASCII, for a database that can't store it."""
    return text.encode("ascii", "backslashreplace").decode()


def storable_name(text: str, limit: int = LIMIT) -> str:
    """Return a receiver's name in printable ASCII, which any database stores and compares alike.

    Distinct names stay distinct: escapes are Python's, and the backslash is escaped too.
    """
    escaped = text.encode("unicode_escape").decode("ascii")
    name = escaped.rstrip(" ")
    name += "\\x20" * (len(escaped) - len(name))  # MySQL ignores trailing blanks
    return name if len(name) <= limit else _cut(name, limit, name.encode())


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _cut(text: str, limit: int, original: bytes) -> str:
    """Cut the text and end it in a hash of the original."""
    return f"{text[: limit - _HASH - 1]}~{sha256(original).hexdigest()[:_HASH]}"
