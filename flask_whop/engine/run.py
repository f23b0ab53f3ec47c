"""One pass of one delivery through its receivers, each on its own, each once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from flask_whop import signals
from flask_whop.engine.interruptions import Cause, cause_of
from flask_whop.engine.outcomes import Outcome, Status
from flask_whop.errors import (
    ClaimLost,
    FlaskWhopError,
    GiveUp,
    ProcessDied,
    ReceiverExited,
    RetryLater,
    StaleEvent,
    StoreUnavailable,
)
from flask_whop.events import UnknownEvent
from flask_whop.logs import log
from flask_whop.names import shown_error
from flask_whop.signals.kinds import Call
from flask_whop.stores import FINISHED, Key, Mark, Receipt, ReceiptState, Settlement, State, Turn

if TYPE_CHECKING:
    from flask_whop.engine.host import Host
    from flask_whop.engine.leases import Held, LeaseKeeper
    from flask_whop.engine.retries import RetryPolicy
    from flask_whop.events import AnyEvent
    from flask_whop.events.envelope import Order
    from flask_whop.stores import Store

TURN_SECONDS: Final = 2.0
"""How long a sender is kept waiting for the turn of a receiver that wants its events in order."""

_TURN_PAUSE = 0.02
_LONGEST_TURN_PAUSE = 0.2
_TURN_LATER = 1.0
_TRACEBACK_CHARACTERS = 2000
_ABSENT = (
    "The process that was to run this delivery has no receiver of this name, which the one that accepted it had: they"
    " run different code. A receiver that was renamed wants its former name (was=); one that is gone for good is"
    " dropped by `flask whop deliveries drop`."
)
_DIED = "The process was killed, crashed, or hung while this receiver ran."


class Tools(NamedTuple):
    """What a run works with."""

    store: Store
    leases: LeaseKeeper
    retries: RetryPolicy
    host: Host


class Run:
    """Calls the receivers of one delivery, which has been claimed by ``token``.

    ``opened_at`` is when the delivery became ours, in unix seconds; None while its retry is
    Whop's. ``earlier`` are the receipts so far. The ``first`` run calls in the order of
    connection; later ones note each call before it is made, so that one that kills its
    process is counted, and begin with those that have been called the fewest times, so
    that it starves nobody.

    ``expected`` are the names of the receivers that it was accepted for. What this process
    lacks of them, as happens while a new release is rolled out, is waited for, the longer
    the more ``tries`` there have been.
    """

    def __init__(  # noqa: PLR0913  # what a claim tells, each by name
        self,
        tools: Tools,
        key: Key,
        token: str,
        event: AnyEvent,
        *,
        opened_at: float | None,
        earlier: Mapping[str, Receipt],
        first: bool,
        expected: Sequence[str] = (),
        tries: int = 1,
    ) -> None:
        self._store, self._leases, self._retries, self._host = tools
        self._key = key
        self._token = token
        self._event = event
        self._opened_at = opened_at
        self._earlier = earlier
        self._first = first
        self._expected = expected
        self._tries = tries
        self._errors: list[BaseException] = []
        self._waiting: list[float] = []  # when receivers that are not done are due, in unix seconds
        self._dead = 0
        self._ran = 0
        self._busy = 0
        self._settled = False
        self._begun = False  # whether a receiver is being called, and its writes are neither kept nor undone

    def go(self) -> Outcome:
        """Call the receivers that are not done, and end the claim.

        Raises :class:`~flask_whop.errors.ClaimLost` and
        :class:`~flask_whop.errors.StoreUnavailable`, after which nobody else is called.
        """
        try:
            calls = self._to_be_called()
            if calls:
                self._call_all(calls)
            if not self._settled:
                self._store.settle(self._key, self._token, self._settlement())
        except StoreUnavailable:
            raise
        except BaseException as error:
            self._let_go(error)
            raise
        return self._outcome(bool(calls))

    # Whom to call.

    def _to_be_called(self) -> list[Call]:
        """The receivers that are not done with the event, and not waiting for their time."""
        connected = calls_for(self._host, self._event)
        if self._expected:
            self._wait_for_absent(connected)
        calls = [call for call in connected if self._is_to_be_called(call)]
        if not self._first and len(calls) > 1:
            calls.sort(key=self._attempts)
        return calls

    def _wait_for_absent(self, connected: Sequence[Call]) -> None:
        """Let the delivery be due again for the receivers that this process has not, until the deadline."""
        here = {name for call in connected for name in (call.name, *call.was)}
        for name in self._expected:
            before = self._earlier.get(name)
            if name in here or (before is not None and before.state in FINISHED):
                continue
            opened_at, now = self._opened_at or 0.0, self._now()
            due_at = self._retries.next_due(self._tries, opened_at, now)
            self._waiting += [] if due_at is None else [due_at]
            self._dead += due_at is None
            state = ReceiptState.DEAD if due_at is None else ReceiptState.FAILED
            attempts, first_at = (0, now) if before is None else (before.attempts, before.first_at)
            receipt = Receipt(name, state, attempts, first_at, now, due_at, _ABSENT)
            self._store.record(self._key, self._token, receipt, None)
            log.warning("No receiver %s is here for %s %s, which waits for it.", name, self._event.type, self._event.id)

    def _is_to_be_called(self, call: Call) -> bool:
        receipt = self._receipt_of(call)
        if receipt is None:
            return True
        if receipt.state is ReceiptState.STARTED:
            receipt = self._count_the_dead(call, receipt)
        if self._opened_at is None:
            return receipt.state not in FINISHED
        if receipt.state is ReceiptState.FAILED and receipt.due_at is not None and receipt.due_at > self._now():
            self._waiting.append(receipt.due_at)
            return False
        if receipt.state is ReceiptState.DEAD:
            self._dead += 1
        return receipt.state is ReceiptState.FAILED

    def _receipt_of(self, call: Call) -> Receipt | None:
        """The receipt of a receiver, by its name or by one that it had before."""
        if not self._earlier:
            return None
        return next((self._earlier[name] for name in (call.name, *call.was) if name in self._earlier), None)

    def _attempts(self, call: Call) -> int:
        receipt = self._receipt_of(call)
        return 0 if receipt is None else receipt.attempts

    def _count_the_dead(self, call: Call, started: Receipt) -> Receipt:
        """Make a failure of a call that never ended."""
        receipt = started._replace(receiver=call.name, state=ReceiptState.FAILED, error=_DIED)
        if self._opened_at is not None and started.due_at is None:
            # A time is missing after the deadline, or where the call was Whop's to repeat.
            due_at = self._retries.next_due(started.attempts, self._tried_since(started), self._now())
            state = ReceiptState.DEAD if due_at is None else ReceiptState.FAILED
            receipt = receipt._replace(state=state, due_at=due_at)
        self._store.record(self._key, self._token, receipt, None)
        log.error("%s did not end with %s %s: %s", call.name, self._event.type, self._event.id, _DIED)
        self._tell_failure(call, ProcessDied(_DIED))
        self._earlier = {**self._earlier, call.name: receipt}
        return receipt

    # Calling them.

    def _call_all(self, calls: Sequence[Call]) -> None:
        held = self._leases.hold(self._key, self._token, self._store.lifeline())
        try:
            ordered: list[tuple[Call, Mark]] = []
            for number, call in enumerate(calls, 1):
                mark = self._mark_of(call) if call.skip_stale else None
                last = number == len(calls) and not ordered
                if mark is None:
                    self._call(call, held, None, last=last)
                elif not self._call_in_order(call, held, mark, last=last):
                    ordered.append((call, mark))
            self._wait_for_turns(ordered, held)
        finally:
            self._leases.let_go(self._key, self._token)

    def _mark_of(self, call: Call) -> Mark | None:
        order = self._event.order
        return None if order is None else Mark(call.name, *order)

    def _wait_for_turns(self, ordered: list[tuple[Call, Mark]], held: Held) -> None:
        """Call those whose turn comes soon enough; a sender waits for a moment, nobody else does."""
        until = time.monotonic() + (TURN_SECONDS if self._opened_at is None else 0.0)
        pause = _TURN_PAUSE
        while ordered and time.monotonic() < until:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_TURN_PAUSE)
            ordered = [
                (call, mark)
                for call, mark in ordered
                if not self._call_in_order(call, held, mark, last=len(ordered) == 1)
            ]
        self._busy = len(ordered)
        if ordered and self._opened_at is not None:
            self._waiting.append(self._now() + _TURN_LATER)

    def _call_in_order(self, call: Call, held: Held, mark: Mark, *, last: bool) -> bool:
        """Call a receiver that wants its events in order; False while it is called with another one."""
        is_stale = _is_stale(self._store, self._key, (call.name, *call.was), self._event.order)
        turn = Turn.STALE if is_stale else self._store.turn(self._key, self._token, mark, self._leases.lease)
        if turn is Turn.GRANTED:
            self._call(call, held, mark, last=last)
        elif turn is Turn.STALE:
            self._skip(call, last=last)
        return turn is not Turn.BUSY

    def _skip(self, call: Call, *, last: bool) -> None:
        log.info("Skipped %s for %s %s: it has handled a newer event.", call.name, self._event.type, self._event.id)
        self._keep(call, ReceiptState.SKIPPED, self._now(), None, last=last)

    def _call(self, call: Call, held: Held, mark: Mark | None, *, last: bool) -> None:
        """Call one receiver and keep its receipt; end the claim with the last one."""
        started = self._now()
        if not self._first:
            self._note_start(call, started)
        held.call(call.name, mark)
        # Of values alone: an event that somebody keeps is to keep neither the run nor the receiver.
        self._event.stale_if(partial(_is_stale, self._store, self._key, (call.name, *call.was)))
        self._ran += 1
        error = self._attempt(call)
        if error is None:
            error = self._keep_done(call, started, mark, last=last)
            if error is None:
                return
        cause = cause_of(error)
        if cause is Cause.STOP:
            self._give_back(call, started, mark)
            raise error
        state = ReceiptState.GIVEN_UP if isinstance(error, GiveUp) else ReceiptState.FAILED
        self._errors += [error] if state is ReceiptState.FAILED else []
        self._keep(call, state, started, error, mark, last=last)
        self._note_failure(call, error)
        if cause is not Cause.FAILURE:
            raise error

    def _attempt(self, call: Call) -> BaseException | None:
        """Call a receiver; return what it raised, with what it wrote undone."""
        self._store.begin()
        self._begun = True
        try:
            self._host.call(call.name, call.receiver, event=self._event)
        except BaseException as error:  # noqa: BLE001  # what is to become of it depends on its cause
            self._begun = False
            self._store.undo()
            return error
        return None

    def _keep_done(self, call: Call, started: float, mark: Mark | None, *, last: bool) -> BaseException | None:
        """Keep the receipt of a receiver that returned; return why its writes could not be committed."""
        self._begun = False
        try:
            self._keep(call, ReceiptState.DONE, started, None, mark, last=last)
        except (ClaimLost, StoreUnavailable):
            raise
        except StaleEvent:
            self._skip(call, last=last)
        except Exception as error:  # noqa: BLE001  # a store that shares the receiver's transaction raises what it does
            return error
        return None

    # Keeping what came of it.

    def _note_start(self, call: Call, started: float) -> None:
        """Count a call before it is made, with the time of the next one should it never end."""
        receipt = self._receipt(call, ReceiptState.STARTED, started)
        if self._opened_at is not None:
            due_at = self._retries.next_due(receipt.attempts, self._tried_since(receipt), started)
            receipt = receipt._replace(due_at=due_at)
        self._store.record(self._key, self._token, receipt, None)

    def _give_back(self, call: Call, started: float, mark: Mark | None) -> None:
        """Uncount a call that the process was told to stop in, and let its turn go."""
        if self._first and mark is None:
            return  # nothing is noted of it
        due_at = None if self._opened_at is None else started
        receipt = self._receipt(call, ReceiptState.FAILED, started)
        receipt = receipt._replace(attempts=receipt.attempts - 1, due_at=due_at)
        with suppress(FlaskWhopError):
            self._store.record(self._key, self._token, receipt, None, mark)

    def _keep(  # noqa: PLR0913  # what a receipt is made of
        self,
        call: Call,
        state: ReceiptState,
        started: float,
        error: BaseException | None,
        mark: Mark | None = None,
        *,
        last: bool,
    ) -> None:
        receipt = self._receipt(call, state, started, _told(error))
        if state is ReceiptState.FAILED and self._opened_at is not None:
            wish = error.after if isinstance(error, RetryLater) else None
            due_at = self._retries.next_due(receipt.attempts, self._tried_since(receipt), self._now(), wish)
            if due_at is None:
                receipt = receipt._replace(state=ReceiptState.DEAD)
                self._dead += 1
            else:
                receipt = receipt._replace(due_at=due_at)
                self._waiting.append(due_at)
        self._store.record(self._key, self._token, receipt, self._settlement() if last else None, mark)
        self._settled = last

    def _receipt(self, call: Call, state: ReceiptState, started: float, error: str | None = None) -> Receipt:
        before = self._receipt_of(call)
        called = state is not ReceiptState.SKIPPED
        if before is None:
            return Receipt(call.name, state, int(called), started, started, None, error)
        anew = self._opened_at is not None and before.last_at < self._opened_at
        first_at = started if anew else before.first_at
        return Receipt(call.name, state, before.attempts + called, first_at, started, None, error)

    def _tried_since(self, receipt: Receipt) -> float:
        """What the time to retry counts from: the first call, since nobody may have been there to make it before."""
        return max(receipt.first_at, self._opened_at or 0.0)

    def _settlement(self) -> Settlement:
        """How the claim ends, as things stand."""
        if self._waiting:
            return Settlement(State.DUE, min(self._waiting))
        if self._dead:
            return Settlement(State.DEAD)
        return Settlement(State.FAILED if self._errors or self._busy else State.DONE)

    def _let_go(self, error: BaseException) -> None:
        """End the claim in the middle of things, so that the next try comes at once; soon after a fault of ours."""
        wait = self._retries.first if isinstance(error, Exception) else 0.0
        ours = self._opened_at is not None
        settlement = Settlement(State.DUE, self._now() + wait) if ours else Settlement(State.FAILED)
        # Where that cannot be written, or has been, the lease runs out, or is over.
        with suppress(FlaskWhopError):
            if self._begun:
                self._store.undo()
            self._store.settle(self._key, self._token, settlement)

    def _note_failure(self, call: Call, error: BaseException) -> None:
        """Say in the log what a receiver raised, and tell whoever listens."""
        about = (call.name, self._event.type, self._event.id)
        told = error if isinstance(error, Exception) else _exit_by(error)
        if isinstance(error, RetryLater):
            log.info("%s asked to retry %s %s in %.0f s.", *about, error.after)
        elif isinstance(error, GiveUp):
            log.error("%s gave up on %s %s; it will not be called with it again.", *about, exc_info=error)
        else:
            log.error("%s failed with %s %s.", *about, exc_info=error)
            self._host.report(told)
        self._tell_failure(call, told)

    def _tell_failure(self, call: Call, error: Exception) -> None:
        self._host.notify(signals.receiver_failed, event=self._event, receiver=call.name, error=error)

    def _outcome(self, called: bool) -> Outcome:  # whether there was anybody to call
        event, ran, failed = self._event, self._ran, len(self._errors)
        waits = [error.after for error in self._errors if isinstance(error, RetryLater)]
        if self._waiting:
            return Outcome(Status.RETRY_LATER, event, ran, failed, max(1.0, min(self._waiting) - self._now()))
        if self._dead:
            return Outcome(Status.DEAD, event, ran, failed)
        if failed and len(waits) == failed:
            return Outcome(Status.RETRY_LATER, event, ran, failed, max(waits))
        if failed:
            return Outcome(Status.FAILED, event, ran, failed)
        return Outcome(self._success(called=called), event, ran)

    def _success(self, *, called: bool) -> Status:
        if self._busy:
            return Status.RUNNING
        if called:
            return Status.PROCESSED
        return Status.UNHANDLED if self._first else Status.DUPLICATE

    def _now(self) -> float:
        return self._store.clock()


def calls_for(host: Host, event: AnyEvent) -> Sequence[Call]:
    """The receivers of an event, in the order of connection."""
    if isinstance(event, UnknownEvent):
        return signals.unknown_event.calls_for_type(host.app, event.type)
    return host.calls_of(signals.EVENT_SIGNALS[event.type])


def _is_stale(store: Store, key: Key, names: tuple[str, ...], order: Order | None) -> bool:
    """Whether the receiver of these names, its own first, has handled a later event on the line of ``order``."""
    return order is not None and store.is_stale(key, Mark(names[0], *order), names)


def _exit_by(error: BaseException) -> ReceiverExited:
    """What those are told of who expect an exception, of one that is none."""
    told = ReceiverExited(f"The receiver ended by {type(error).__qualname__}.")
    told.__cause__ = error
    return told


def _told(error: BaseException | None) -> str | None:
    """What a receiver raised, with the end of its traceback, and without the values that it held."""
    if error is None:
        return None
    text = shown_error(error)
    if len(text) <= _TRACEBACK_CHARACTERS:
        return text
    kind = f"{type(error).__qualname__[:100]} …"
    return kind + text[len(kind) - _TRACEBACK_CHARACTERS :]
