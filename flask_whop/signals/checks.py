"""Checks that a function can be a receiver: that it can be called, and that a call runs it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dis import get_instructions
from importlib.util import find_spec
from types import AsyncGeneratorType, CodeType, GeneratorType
from typing import Any, Final

from flask_whop.errors import MissingExtraError, ReceiverError
from flask_whop.names import layers, name_of

_LAZY: Final[tuple[tuple[type, str], ...]] = (
    (GeneratorType, "a generator"),
    (AsyncGeneratorType, "an async generator"),
    (map, "a map"),
    (filter, "a filter"),
)
_ITERATES: Final = frozenset({"GET_ITER", "GET_AITER"})
_RUNNERS: Final = frozenset({"next", "send", "asend", "list", "tuple", "deque", "isgenerator", "GeneratorType"})
"""Names used by a function that runs a generator without writing a loop."""
_ADVICE = " If the decorator does run it to the end, connect a function of your own that calls it."


def check_callable(receiver: Callable[..., object], keywords: Iterable[str]) -> None:
    """Raise :class:`~flask_whop.errors.ReceiverError` if a call with ``keywords`` couldn't run ``receiver``."""
    if not callable(receiver):
        raise ReceiverError(f"{receiver!r} isn't callable, so it can't be a receiver.")
    _check_that_it_runs(receiver)
    try:
        signature = inspect.signature(receiver)
    except (TypeError, ValueError):
        return  # written in C, without a signature
    try:
        signature.bind(None, **dict.fromkeys(keywords))
    except TypeError as error:
        wanted = ", ".join(("app", *keywords))
        raise ReceiverError(
            f"{name_of(receiver)}{signature} can't be called with ({wanted}): {error}. The first is passed"
            f" by position, the others by name; write def receiver({wanted}, **extra)."
        ) from None


def unrun(result: object) -> str | None:
    """Name the ``result`` of a call if it's something that nobody runs; None if the call did its work.

    That is a generator, an async generator, a lazy ``map`` or ``filter``, or what a
    function with ``contextlib.contextmanager`` returns. For an awaitable, ask again with
    the result of awaiting it.
    """
    if result is None or inspect.isawaitable(result):
        return None
    for kind, name in _LAZY:
        if isinstance(result, kind):
            return name
    inner = getattr(result, "gen", None)
    return "a context manager" if isinstance(inner, (GeneratorType, AsyncGeneratorType)) else None


def _check_that_it_runs(receiver: Callable[..., object]) -> None:
    functions = list(layers(receiver))
    generator = next((depth for depth, function in enumerate(functions) if _yields(function)), None)
    if generator is not None and not any(map(_loops, functions[:generator])):
        behind, advice = (" behind a decorator", _ADVICE) if generator else ("", "")
        raise ReceiverError(f"{name_of(receiver)} uses yield{behind}, so calling it would run nothing.{advice}")
    if inspect.iscoroutinefunction(functions[0]) and find_spec("asgiref") is None:
        raise MissingExtraError(f'{name_of(receiver)} is async, which needs: pip install "flask-whop[async]"')


def _yields(function: Callable[..., Any]) -> bool:
    """Whether a call returns a generator that hasn't run and can't be awaited."""
    if inspect.isasyncgenfunction(function):
        return True
    code = getattr(function, "__code__", None)
    awaitable = isinstance(code, CodeType) and code.co_flags & inspect.CO_ITERABLE_COROUTINE  # types.coroutine
    return inspect.isgeneratorfunction(function) and not awaitable


def _loops(function: Callable[..., Any]) -> bool:
    """Whether a decorator's function looks as if it runs a generator to the end.

    This is a guess in the decorator's favor: :func:`unrun` catches the rest when the
    receiver is called.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    return bool(_RUNNERS & {*code.co_names}) or any(step.opname in _ITERATES for step in get_instructions(code))
