"""Holds the claims of this process for as long as their receivers run."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flask_whop.stores import Key, Store

log: logging.Logger = logging.getLogger("flask_whop")

LEASE_SECONDS: Final = 30.0
"""How long a claim holds when its holder dies: about Whop's first retry, which comes after 30 seconds."""


class LeaseKeeper:
    """Renews the leases on what this process has claimed, by one thread, made when first needed.

    A receiver that runs for long keeps its claim in this way; a process that dies
    renews nothing, and its claims run out.
    """

    def __init__(self, store: Store, *, lease: float = LEASE_SECONDS) -> None:
        self.lease = lease
        self._store = store
        self._held: dict[str, tuple[Key, float]] = {}
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def hold(self, key: Key, token: str) -> None:
        """Renew the lease on a claim until :meth:`let_go`."""
        self._held[token] = (key, time.monotonic())
        if self._pid != os.getpid():
            self._start()

    def let_go(self, token: str) -> None:
        """Renew the lease no more."""
        self._held.pop(token, None)

    def _start(self) -> None:
        """Start the thread, which a fork does not take along."""
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._thread = threading.Thread(target=self._keep, name="flask-whop leases", daemon=True)
            self._thread.start()

    def _keep(self) -> None:
        while True:
            time.sleep(self.lease / 3)
            self._renew(time.monotonic() - self.lease / 4)

    def _renew(self, before: float) -> None:
        for token, (key, since) in list(self._held.items()):
            if since > before:
                continue
            try:
                if not self._store.renew(key, token, self.lease) and token in self._held:
                    log.warning("The claim on delivery %s ran out while its receivers ran.", key.id)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next round tries again
                log.warning("The lease on delivery %s could not be renewed: %s", key.id, error)


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
