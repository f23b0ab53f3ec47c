"""What a store must do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from flask_whop.errors import ClaimLost
from flask_whop.stores.records import (
    Accepted,
    Arrival,
    Claim,
    Due,
    Filter,
    Hold,
    Key,
    Mark,
    Receipt,
    Settlement,
    Stats,
    Stored,
    Taken,
    Turn,
)
from flask_whop.stores.waking import Sleeper, Waker

log: logging.Logger = logging.getLogger("flask_whop")


class Lifeline(Protocol):
    """Renews claims while receivers run, by a connection that they cannot take away."""

    def renew(self, key: Key, token: str, lease: float, mark: Mark | None = None) -> bool:
        """Hold a claim, and the turn of ``mark``, for ``lease`` seconds from now; False if it is not held any more."""
        ...

    def rest(self) -> None:
        """Close what was opened for it; the next renewal opens anew."""
        ...


def claim_lost(key: Key) -> ClaimLost:
    """What a store raises where a claim is not held any more."""
    return ClaimLost(f"Delivery {key.id} has been taken over by somebody else; nothing more of this run is written.")


def warn_of_dead_letters(count: int) -> None:
    """Say in the log how many deliveries a store forgets with which a receiver has never been done."""
    if count:
        log.warning(
            "Forgot %d dead letters that nobody has replayed; a larger WHOP_KEEP_DAYS keeps them for longer.", count
        )


class Store(Lifeline, Protocol):
    """Remembers deliveries, and a receipt for each of their receivers.

    Claiming is atomic: of several that want one delivery at once, in whatever
    processes, one gets it. A claim is held by a ``token`` and for ``lease`` seconds;
    whoever holds it renews it, and one that ran out may be taken over.

    The token is the fence: :meth:`record` and :meth:`settle` write in one transaction
    with the check that it still holds the delivery, and raise
    :class:`~flask_whop.errors.ClaimLost` otherwise, with nothing written.

    Each method may raise :class:`~flask_whop.errors.StoreUnavailable`; the request is
    then answered 503 and Whop retries. All of them are called from several threads at
    once.
    """

    clock: Callable[[], float]
    """Gives the unix time that leases and due times go by."""

    ready_at_start: bool = True
    """Whether it can be used as soon as it is open, and not in the app's context alone."""

    def open(self, *, owned: bool, keep_bodies: bool) -> None:
        """Make ready, once at start; create or migrate what is kept.

        ``owned`` says that what is written has to outlast a power cut, since the
        retry of what is accepted is ours. Without ``keep_bodies`` the body is dropped
        when a delivery is done. Raises :class:`~flask_whop.errors.ConfigError` if it
        cannot be used.
        """
        ...

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Take a delivery for processing while its sender waits, in one atomic step.

        It is granted unless somebody else holds it, or it is due here.
        """
        ...

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:
        """Make a delivery ours, to be run in ``due_in`` seconds; when this returns it is safe.

        With ``hold`` it's claimed by the same step, and due if that runs out. What is
        running, due, done or dead is left as it is.
        """
        ...

    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out; None if it is neither.

        ``early`` takes a due one before its time.
        """
        ...

    def take_due(self, endpoint: str, token: str, lease: float, limit: int) -> Sequence[Taken]:
        """Claim up to ``limit`` deliveries that are due and may run beside others, the longest due first.

        Whoever holds them runs them in this order, one after the other: if it dies, those
        behind the one that ran are due again as if they had not been taken.
        """
        ...

    def put_back(self, key: Key, token: str) -> None:
        """Let one that :meth:`take_due` gave be due again, as if it had not been taken."""
        ...

    def due(self, endpoint: str, limit: int) -> Sequence[Due]:
        """The deliveries that :meth:`take` would give, the longest due first.

        Up to ``limit`` of those that may run beside others, and of those that may not.
        """
        ...

    def postpone(self, key: Key, due_at: float) -> None:
        """Let a delivery that is due be due at another time, in unix seconds; anything else is left as it is."""
        ...

    def announce(self, endpoint: str) -> None:  # noqa: ARG002  # for those who can
        """Wake workers that sleep: something has been accepted; called after the answer."""
        return  # a body, so that stores need not have one

    def waker(self, endpoint: str) -> Waker:  # noqa: ARG002  # for those who can
        """What a worker sleeps by."""
        return Sleeper()

    def lifeline(self) -> Lifeline:
        """What renews the claims that are made in this app's context; another thread uses it."""
        return self

    def rest(self) -> None:
        """Close what renewals have opened; most stores open nothing for them."""
        return  # a body, so that stores need not have one

    def begin(self) -> None:
        """Get ready for one call of a receiver; a store that shares its transaction begins a new one."""
        return  # likewise

    def undo(self) -> None:
        """Undo what a failed receiver wrote, before anybody hears of it, where its transaction is shared."""
        return  # likewise

    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Let a receiver that wants its events in order go on, or tell why not.

        Of several events of one resource at once, one is granted at a time; its turn
        ends when its receipt is recorded, and at the latest after ``lease`` seconds. A
        store that shares the receiver's transaction lets them all go on, and decides in
        :meth:`record`.
        """
        ...

    def record(
        self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None = None
    ) -> None:
        """Keep a receipt; with ``settlement``, end the claim in the same transaction.

        ``mark`` is that of :meth:`turn`: what is done moves it on, anything else leaves
        it. A store that shares the transaction of the receiver raises what the commit of
        its writes raises, :class:`~flask_whop.errors.StaleEvent` if a newer event was done
        meanwhile, and :class:`~flask_whop.errors.NotJoined` for writes that cannot be
        committed together; all of them are rolled back then.
        """
        ...

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        ...

    def replay(self, key: Key) -> bool:
        """Make a delivery due now that is failed, done or dead, for the receivers not done with it.

        False if it is not there, is running, or has no body any more.
        """
        ...

    def is_stale(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        """Whether the receiver that had one of ``names`` is done with a later event on the line of ``mark``."""
        ...

    def receivers(self, endpoint: str) -> Sequence[str]:
        """The names in the receipts of deliveries that are not done."""
        ...

    def get(self, key: Key) -> Stored | None:
        """The delivery, if it is kept."""
        ...

    def receipts(self, key: Key) -> Sequence[Receipt]:
        """The receipts of a delivery, in the order of their first calls."""
        ...

    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` deliveries, the latest first, without their bodies."""
        ...

    def stats(self, endpoint: str) -> Stats:
        """Count the deliveries by state."""
        ...

    def prune(self, endpoint: str, before: float, *, most: int | None = None) -> int:
        """Delete what has not changed since ``before`` and is not running or due; how many they were.

        ``most`` is how many are enough for now; a store to which it matters stops soon after.
        Dead letters among them are told of in the log.
        """
        ...
