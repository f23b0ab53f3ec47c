"""What a store must do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from flask_whop.errors import ClaimLost
from flask_whop.stores.records import (
    TROUBLES,
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
    Tally,
    Turn,
)
from flask_whop.stores.waking import Sleeper, Waker

log: logging.Logger = logging.getLogger("flask_whop")


class Lifeline(Protocol):
    """Renews claims while receivers run, over a connection that receivers can't use up."""

    def renew(self, key: Key, token: str, lease: float, mark: Mark | None = None) -> bool:
        """Hold a claim, and the turn of ``mark``, for ``lease`` seconds from now; return False if it is lost."""
        ...

    def rest(self) -> None:
        """Close what renewals opened; the next one opens it again."""
        ...


def claim_lost(key: Key) -> ClaimLost:
    """Return the error for a claim that is no longer held."""
    return ClaimLost(f"Delivery {key.id} has been taken over by somebody else; nothing more of this run is written.")


def warn_of_dead_letters(count: int) -> None:
    """Log how many deliveries a store forgets that a receiver has never finished."""
    if count:
        log.warning("Deleted %d dead letters that nobody replayed; a larger WHOP_KEEP_DAYS keeps them longer.", count)


class Store(Lifeline, Protocol):
    """Remembers deliveries, and a receipt for each of their receivers.

    Each delivery is ``owned`` or not. If it is owned, the retry is ours: the store must keep
    it, and runs it again when it is due. If it isn't, the retry is Whop's, which sends it
    again until it is answered with success.

    Claiming is atomic: of several callers that want one delivery at once, in any processes,
    one gets it. A claim is held by a ``token`` for ``lease`` seconds; its holder renews it,
    and one that ran out may be taken over.

    The token is the fence: :meth:`record` and :meth:`settle` check in the transaction that
    writes that it still holds the delivery. If it doesn't, they write nothing and raise
    :class:`~flask_whop.errors.ClaimLost`.

    Each method may raise :class:`~flask_whop.errors.StoreUnavailable`; the request is then
    answered 503 and Whop retries. All of them are called from several threads at once.
    """

    clock: Callable[[], float]
    """Gives the unix time that leases and due times use."""

    ready_at_start: bool = True
    """Whether it can be used as soon as it is open, even outside the app's context."""

    def open(self, *, owned: bool, keep_bodies: bool) -> None:
        """Get ready, once at start; create or migrate the tables.

        ``owned`` says that deliveries may be owned, so writes must survive a power cut.
        Without ``keep_bodies``, the body is dropped when a delivery is done. Raises
        :class:`~flask_whop.errors.ConfigError` if the store cannot be used.
        """
        ...

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Claim a delivery while its sender waits, in one atomic step.

        It is granted unless another holder has it, or it is due here.
        """
        ...

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:
        """Make a delivery owned, due in ``due_in`` seconds; when this returns it is safe.

        With ``hold``, the same step claims it, and it is due if that claim runs out. A
        delivery that is running, due, done or dead is left as it is.
        """
        ...

    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out; return None if it is neither.

        ``early`` claims a due one before its time.
        """
        ...

    def take_due(self, endpoint: str, token: str, lease: float, limit: int) -> Sequence[Taken]:
        """Claim up to ``limit`` deliveries that are due and may run beside others, the longest due first.

        Their holder runs them in this order, one after the other: if it dies, those behind
        the one that ran are due again as if they had not been claimed.
        """
        ...

    def put_back(self, key: Key, token: str) -> None:
        """Make a delivery from :meth:`take_due` due again, as if it had not been claimed."""
        ...

    def due(self, endpoint: str, limit: int) -> Sequence[Due]:
        """Return the deliveries that :meth:`take` would claim, the longest due first.

        Up to ``limit`` of those that may run beside others, and up to ``limit`` of those that may not.
        """
        ...

    def postpone(self, key: Key, due_at: float) -> None:
        """Make a due delivery due at another time, in unix seconds; leave any other as it is."""
        ...

    def announce(self, endpoint: str) -> None:  # noqa: ARG002  # for stores that can
        """Wake sleeping workers because a delivery was accepted; called after the answer."""
        return  # a body, so that stores needn't have one

    def waker(self, endpoint: str) -> Waker:  # noqa: ARG002  # for stores that can
        """Return what a worker sleeps with."""
        return Sleeper()

    def lifeline(self) -> Lifeline:
        """Return what renews the claims made in this app's context; another thread uses it."""
        return self

    def rest(self) -> None:
        """Close what renewals opened; most stores open nothing for them."""
        return  # a body, so that stores needn't have one

    def begin(self) -> None:
        """Get ready for one call of a receiver; a store that shares the receiver's transaction begins a new one."""
        return  # likewise

    def undo(self) -> None:
        """Undo what a failed receiver wrote, before the failure is reported, if its transaction is shared."""
        return  # likewise

    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Decide whether a receiver that wants its events in order may be called.

        Of several events of one resource, one at a time is granted; its turn ends when its
        receipt is recorded, or after ``lease`` seconds. A store that shares the receiver's
        transaction grants them all, and decides in :meth:`record`.
        """
        ...

    def record(
        self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None = None
    ) -> None:
        """Record a receipt; with ``settlement``, end the claim in the same transaction.

        ``mark`` is that of :meth:`turn`: a done receipt moves it on, any other leaves it. A
        store that shares the receiver's transaction raises what the commit raises,
        :class:`~flask_whop.errors.StaleEvent` if a newer event was done meanwhile, and
        :class:`~flask_whop.errors.NotJoined` for writes that cannot be committed together.
        Then all the writes are rolled back.
        """
        ...

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        ...

    def replay(self, key: Key) -> bool:
        """Make a failed, done or dead delivery due now, for the receivers that are not done with it.

        So is one that a dead process has left. Return False if it is missing, running, or no
        longer has a body.
        """
        ...

    def replay_some(
        self, key: Key, hold: Hold, again: Sequence[str], unless_finished: Sequence[str] = ()
    ) -> Taken | None:
        """Own a delivery that nobody holds, and claim it, in one atomic step, to run some of its receivers.

        The receipts of ``again`` are made failed ones, done or not; all others stay as they
        are. Return None if the delivery is missing, running, or no longer has a body, or if a
        receiver of ``unless_finished`` has finished it: then nothing is changed.
        """
        ...

    def is_stale(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        """Return whether the receiver that had one of ``names`` is done with a later event on the line of ``mark``."""
        ...

    def done_by(self, key: Key, mark: Mark) -> str | None:
        """Return the id of the delivery that moved ``mark`` last, by a done receipt; None if none has."""
        ...

    def receivers(self, endpoint: str) -> Sequence[str]:
        """Return the receiver names in the receipts of deliveries that are not done."""
        ...

    def get(self, key: Key) -> Stored | None:
        """Return the delivery, or None if the store doesn't have it."""
        ...

    def receipts(self, key: Key) -> Sequence[Receipt]:
        """Return the receipts of a delivery, in the order of their first calls."""
        ...

    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Return up to ``limit`` deliveries, the latest first, without their bodies."""
        ...

    def troubles(self, keys: Sequence[Key]) -> Mapping[Key, Receipt]:
        """Return one receipt of each of some deliveries that a receiver has not finished, or has given up on."""
        every = ((key, receipt) for key in keys for receipt in self.receipts(key))
        return {key: receipt for key, receipt in every if receipt.state in TROUBLES}

    def edge(self, endpoint: str, wanted: Filter, within: int) -> tuple[float, str] | None:  # noqa: ARG002  # for databases
        """Return how far back one looks at ``within`` deliveries in search of what is wanted; None for to the end.

        It's the time at which a delivery was received, and its id.
        """
        return None

    def erase(self, keys: Sequence[Key]) -> int:
        """Forget the bodies of deliveries, and what their receivers raised and answered; return how many.

        Ids and receipts stay, so nothing runs a second time: what was not done is done.
        Those that are running are left as they are.
        """
        ...

    def drop_bodies(self, endpoint: str, after: float, before: float) -> int:
        """Forget some of the bodies of done deliveries that arrived from ``after`` to ``before``; return how many."""
        ...

    def note(self, endpoint: str, name: str) -> float | None:
        """Return the time that was noted under ``name``, in unix seconds; None if none was."""
        ...

    def put_note(self, endpoint: str, name: str, at: float) -> None:
        """Note a time under ``name``, unless a later one is noted there; notes aren't pruned."""
        ...

    def notes(self, endpoint: str, prefix: str) -> Mapping[str, float]:
        """Return the times that are noted under names that begin with ``prefix``."""
        ...

    def drop_notes(self, endpoint: str, prefix: str, before: float) -> None:
        """Forget the times before ``before`` that are noted under names that begin with ``prefix``."""
        ...

    def tally(self, endpoint: str, counts: Mapping[Tally, int]) -> None:  # noqa: ARG002  # for stores that can
        """Add to what is counted; twice, perhaps, if the connection to a database is lost in the middle."""
        return  # a body, so that stores needn't have one

    def tallies(self, endpoint: str, since: int, by_hour: str) -> Mapping[Tally, int]:  # noqa: ARG002  # likewise
        """Return what was counted in the hour ``since`` and later: of one kind ``by_hour``, of the others in all.

        The hour of the others is ``since``.
        """
        return {}

    def drop_tallies(self, endpoint: str, before: int) -> None:  # noqa: ARG002  # likewise
        """Forget what was counted before the hour ``before``."""
        return

    def backlog(self, endpoint: str, most: int) -> int:
        """Count the deliveries that are due, now or later, up to ``most``."""
        ...

    def stats(self, endpoint: str) -> Stats:
        """Count the deliveries by state."""
        ...

    def prune(self, endpoint: str, before: float, *, most: int | None = None) -> int:
        """Delete deliveries that have not changed since ``before`` and are not running or due; return how many.

        ``most`` is how many are enough for now; a store for which it matters stops soon after.
        Dead letters among them are reported in the log.
        """
        ...
