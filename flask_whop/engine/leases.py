"""Holds the claims of this process while their receivers run.

This is the renewing side. The stores judge when a lease has run out, and then grant its
delivery to somebody else: see ``TAKEABLE`` in :mod:`flask_whop.stores.statements`.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from flask_whop.forks import process, renew_after_fork
from flask_whop.logs import facts, log

if TYPE_CHECKING:
    from flask_whop.stores import Key, Lifeline, Mark

LEASE_SECONDS: Final = 30.0
"""How long a claim outlives its holder: until about Whop's first retry, which comes after 30 seconds."""


class Held:
    """A claim that is being renewed, and the receiver running under it."""

    __slots__ = ("called_at", "key", "lifeline", "mark", "receiver", "renewed_at", "since", "token")

    def __init__(self, key: Key, token: str, lifeline: Lifeline) -> None:
        self.key: Key = key
        self.token: str = token
        self.lifeline: Lifeline = lifeline
        self.since: float = time.monotonic()
        self.renewed_at: float = self.since
        self.called_at: float = self.since
        self.receiver: str = ""
        self.mark: Mark | None = None

    def call(self, receiver: str, mark: Mark | None) -> None:
        """Note which receiver is called, and its turn if it has one."""
        self.receiver = receiver
        self.mark = mark
        self.called_at = time.monotonic()


class LeaseKeeper:
    """Renews the leases on what one app of this process has claimed.

    So a slow receiver keeps its claim, for up to ``longest`` seconds a call, while a dead
    process renews nothing and its claims run out.
    """

    def __init__(self, *, lease: float = LEASE_SECONDS, longest: float) -> None:
        self.lease = lease
        self.longest = longest
        self._held: dict[tuple[Key, str], Held] = {}
        self._used: set[Lifeline] = set()
        self._process: object = None

    def hold(self, key: Key, token: str, lifeline: Lifeline, since: float | None = None) -> Held:
        """Renew the lease on a claim until :meth:`let_go`.

        ``since`` is when the claim was made, by ``time.monotonic()``; the default is now.
        """
        if self._process is not process.current:
            self._begin_in_this_process()
        held = self._held[key, token] = Held(key, token, lifeline)
        held.renewed_at = held.since if since is None else since
        return held

    def holds(self, key: Key, token: str) -> bool:
        """Whether a held claim hasn't run out, as it does if this process was frozen."""
        held = self._held.get((key, token))
        return held is not None and time.monotonic() - held.renewed_at < self.lease

    def _begin_in_this_process(self) -> None:
        with _renewer.lock:
            if self._process is process.current:
                return
            # What was held before a fork is the parent's to renew and to close.
            self._held = {}
            self._used = set()
            self._process = process.current
        _renewer.look_after(self)

    def let_go(self, key: Key, token: str) -> None:
        """Stop renewing the lease."""
        self._held.pop((key, token), None)

    def renew(self) -> None:
        """Renew older leases, and close connections for renewals that nothing needs any more."""
        before = time.monotonic() - self.lease / 4
        old = [held for held in list(self._held.values()) if held.since <= before]
        for held in old:
            self._renew(held)
        for lifeline in self._used - {held.lifeline for held in old}:
            self._used.discard(lifeline)
            try:
                lifeline.rest()
            except Exception:
                log.debug("A connection for renewals couldn't be closed.", exc_info=True)

    def _renew(self, held: Held) -> None:
        if time.monotonic() - held.called_at > self.longest:
            if self._held.pop((held.key, held.token), None) is not None:
                log.error(
                    "%s has been running with delivery %s for over %.0f seconds (WHOP_LONGEST_CALL). It will be retried"
                    " elsewhere, and nothing of this call will be recorded.",
                    held.receiver,
                    held.key.id,
                    self.longest,
                    extra=facts(delivery=held.key.id, receiver=held.receiver),
                )
            return
        self._used.add(held.lifeline)
        now = time.monotonic()
        try:
            renewed = held.lifeline.renew(held.key, held.token, self.lease, held.mark)
        except Exception as error:  # noqa: BLE001  # whatever it is, the next round tries again
            log.warning(
                "The lease on delivery %s couldn't be renewed: %s",
                held.key.id,
                error,
                extra=facts(delivery=held.key.id),
            )
            return
        if renewed:
            held.renewed_at = now
        elif self._held.get((held.key, held.token)) is held and not held.receiver:
            self.let_go(held.key, held.token)  # none of its receivers has begun
        elif (held.key, held.token) in self._held:
            extra = facts(delivery=held.key.id, receiver=held.receiver)
            log.warning("The claim on delivery %s ran out while %s ran.", held.key.id, held.receiver, extra=extra)


class _Renewer:
    """The one thread of a process that renews leases for all its apps; started on first use."""

    def __init__(self) -> None:
        self._start_over()
        renew_after_fork(self._start_over)

    def _start_over(self) -> None:
        self._keepers: WeakSet[LeaseKeeper] = WeakSet()
        self._changed = threading.Event()
        self.lock = threading.Lock()
        self._runs = False

    def look_after(self, keeper: LeaseKeeper) -> None:
        """Renew the leases of ``keeper`` for as long as it lives."""
        with self.lock:
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="flask-whop leases", daemon=True).start()
            self._keepers.add(keeper)
            self._changed.set()

    def _run(self) -> None:
        while True:
            shortest = min((keeper.lease for keeper in list(self._keepers)), default=LEASE_SECONDS)
            if self._changed.wait(shortest / 4):
                self._changed.clear()
                continue
            for keeper in list(self._keepers):
                keeper.renew()


_renewer: Final = _Renewer()


class _Tokens:
    """Makes tokens that are unique everywhere: a random part for the process, and a number."""

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self.renew)

    def renew(self) -> None:
        self._made_in = process.current
        self._process = os.urandom(12).hex()
        self._numbers = itertools.count()

    def __call__(self) -> str:
        if self._made_in is not process.current:
            self.renew()
        return f"{self._process}-{next(self._numbers)}"


new_token: Final[Callable[[], str]] = _Tokens()
"""Make the token of a claim."""
