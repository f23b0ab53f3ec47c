"""Holds the claims of this process for as long as their receivers run."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from flask_whop.stores import Key, Store

log: logging.Logger = logging.getLogger("flask_whop")

LEASE_SECONDS: Final = 30.0
"""How long a claim holds when its holder dies: about Whop's first retry, which comes after 30 seconds."""


class LeaseKeeper:
    """Renews the leases on what this process has claimed from one store.

    A receiver that runs for long keeps its claim in this way; a process that dies
    renews nothing, and its claims run out.
    """

    def __init__(self, store: Store, *, lease: float = LEASE_SECONDS) -> None:
        self.lease = lease
        self._store = store
        self._held: dict[str, tuple[Key, float]] = {}
        self._pid = 0

    def hold(self, key: Key, token: str) -> None:
        """Renew the lease on a claim until :meth:`let_go`."""
        self._held[token] = (key, time.monotonic())
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _renewer.look_after(self)

    def let_go(self, token: str) -> None:
        """Renew the lease no more."""
        self._held.pop(token, None)

    def renew(self) -> None:
        """Renew what has been held for a while."""
        before = time.monotonic() - self.lease / 4
        for token, (key, since) in list(self._held.items()):
            if since > before:
                continue
            try:
                if not self._store.renew(key, token, self.lease) and token in self._held:
                    log.warning("The claim on delivery %s ran out while its receivers ran.", key.id)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next round tries again
                log.warning("The lease on delivery %s could not be renewed: %s", key.id, error)


class _Renewer:
    """The one thread of a process that renews leases, for all of its apps; made when first needed."""

    def __init__(self) -> None:
        self._begin_anew()
        if hasattr(os, "register_at_fork"):
            # A fork takes the thread not along, and perhaps a lock that somebody held.
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self._keepers: WeakSet[LeaseKeeper] = WeakSet()
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._runs = False

    def look_after(self, keeper: LeaseKeeper) -> None:
        """Renew the leases of ``keeper`` for as long as it lives."""
        with self._lock:
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="flask-whop leases", daemon=True).start()
            self._keepers.add(keeper)
            self._changed.set()

    def _run(self) -> None:
        while True:
            shortest = min((keeper.lease for keeper in list(self._keepers)), default=LEASE_SECONDS)
            if self._changed.wait(shortest / 3):
                self._changed.clear()
                continue
            for keeper in list(self._keepers):
                keeper.renew()


_renewer: Final = _Renewer()


class _Tokens:
    """Makes tokens that nobody else has: a random part for the process, and a number."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._process = os.urandom(12).hex()
        self._numbers = itertools.count()

    def __call__(self) -> str:
        return f"{self._process}-{next(self._numbers)}"


new_token: Final[Callable[[], str]] = _Tokens()
"""Make the token of a claim."""
