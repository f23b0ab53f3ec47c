"""What a process that was forked has to renew.

A fork copies the memory of its parent, but only the thread that called it: locks that other
threads held are never released in the child, and what the parent has opened stays the
parent's. Servers such as gunicorn fork after the app is made, so everything that holds
locks, threads, connections or random numbers for a process starts over in the child.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary


class Process:
    """The identity of this process: compare :attr:`current` with ``is``, since numbers are used again."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Take a new identity."""
        self._known: tuple[int, object] = (os.getpid(), object())

    @property
    def current(self) -> object:
        """The identity; asked for in a fork that ran no hooks of Python's, as uWSGI's, it renews everything."""
        if self._known[0] != os.getpid():
            _renew_all()
        return self._known[1]


process: Final = Process()
"""The identity of the process that runs this."""


# No WeakMethod: until Python 3.11 it complains at the end of a process.
_renewals: Final[WeakKeyDictionary[object, Callable[[Any], object]]] = WeakKeyDictionary()


def renew_after_fork(renew: Callable[[], Any]) -> None:
    """Call ``renew``, a bound method, in each child that is forked while its object lives.

    The object is held weakly, and has one such method. Where the system can't fork, nothing
    ever calls it.
    """
    _renewals[renew.__self__] = renew.__func__  # type: ignore[attr-defined]  # those of a bound method


def _renew_all() -> None:
    process.renew()  # first, so what is renewed next sees the new identity
    for owner, renew in list(_renewals.items()):
        renew(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
