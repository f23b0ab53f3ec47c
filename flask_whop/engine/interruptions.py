"""Why a receiver didn't return: it failed, or its process is stopping."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from enum import Enum
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Final


class Cause(Enum):
    """Why a receiver didn't return."""

    FAILURE = "failure"
    """It raised, exited or was cancelled."""
    STOP = "stop"
    """The process must stop (SIGTERM, SIGINT): the receiver did nothing wrong."""
    ABORT = "abort"
    """The process must stop because the receiver takes too long: gunicorn's worker timeout sends SIGABRT."""
    OTHER = "other"
    """Something that must not be caught, such as a gevent timeout."""


_STOPPING: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


def cause_of(error: BaseException) -> Cause:
    """Tell the cause of ``error`` by its kind, and by whether a signal handler raised it."""
    running = set(_codes(error))
    if isinstance(error, KeyboardInterrupt) or running.intersection(map(_handler_of, _STOPPING)):
        return Cause.STOP
    if _handler_of(signal.SIGABRT) in running:
        return Cause.ABORT
    return Cause.FAILURE if isinstance(error, (Exception, SystemExit)) or _is_cancelled(error) else Cause.OTHER


def _is_cancelled(error: BaseException) -> bool:
    from asyncio import CancelledError  # noqa: PLC0415  # a third of this package's import time

    return isinstance(error, CancelledError)


def _codes(error: BaseException) -> Iterator[CodeType]:
    """The code of each function that ``error`` passed through."""
    entry = error.__traceback__
    while entry is not None:
        yield entry.tb_frame.f_code
        entry = entry.tb_next


def _handler_of(number: signal.Signals) -> CodeType | None:
    """The code of the function that handles a signal; None if the system or C code does."""
    handler: object = signal.getsignal(number)
    while isinstance(handler, partial):
        handler = handler.func
    if isinstance(handler, MethodType):
        handler = handler.__func__
    if not isinstance(handler, FunctionType):
        handler = vars(type(handler)).get("__call__")
    return handler.__code__ if isinstance(handler, FunctionType) else None
