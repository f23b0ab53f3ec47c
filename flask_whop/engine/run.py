"""One pass of one delivery through its receivers, each on its own, each once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from flask_whop import signals
from flask_whop.engine.interruptions import Cause, cause_of
from flask_whop.engine.outcomes import Outcome, Status
from flask_whop.engine.recording import DIED, Attempt, Holding, Record
from flask_whop.engine.tracing import Ending
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
from flask_whop.logs import facts, log
from flask_whop.signals.terms import Call, key_of
from flask_whop.stores import Key, Mark, Receipt, ReceiptState, Turn
from flask_whop.stores.protocol import claim_lost
from flask_whop.stores.records import ONCE

if TYPE_CHECKING:
    from flask_whop.engine.host import Host
    from flask_whop.engine.leases import Held, LeaseKeeper
    from flask_whop.engine.retries import RetryPolicy
    from flask_whop.events import AnyEvent
    from flask_whop.events.envelope import Order
    from flask_whop.stores import Store

TURN_SECONDS: Final = 2.0
"""How long Whop is kept waiting for the turn of a receiver that takes its events in order."""

_STALE: Final = "Not called: it has handled a newer event about the same resource."
_TURN_PAUSE = 0.02
_LONGEST_TURN_PAUSE = 0.2
_TURN_LATER = 1.0


class Tools(NamedTuple):
    """What a run works with."""

    store: Store
    leases: LeaseKeeper
    retries: RetryPolicy
    host: Host


class Run:
    """One pass of one claimed delivery through its receivers.

    The first run calls them in the order of connection. Later ones begin with those
    that have been called the fewest times, so none starves, and record each call before
    making it, so one that kills its process is counted.

    During a rolling deploy, this process may lack receivers that the delivery was
    accepted for. The delivery waits for those, longer with each attempt.
    """

    def __init__(self, tools: Tools, holding: Holding, event: AnyEvent) -> None:
        self._store, self._leases, self._retries, self._host = tools
        self._holding = holding
        self._key, self._token = holding.key, holding.token
        self._event = event
        self._record = Record(tools.store, tools.retries, holding)
        self._first = holding.attempts == 1
        self._errors: list[BaseException] = []
        self._keys: dict[str, str | None] = {}  # those that once_per= gives, by receiver
        self._ran = 0
        self._busy = 0  # receivers whose turn didn't come
        self._answer = answer_in(holding.receipts.values()) if event.wants_answer else None
        self._returned: str | None = None  # what the last receiver answered
        self._uncommitted = False  # whether a receiver is running, its writes neither committed nor rolled back

    def go(self) -> Outcome:
        """Call the receivers that aren't done, and end the claim.

        Raises :class:`~flask_whop.errors.ClaimLost` and
        :class:`~flask_whop.errors.StoreUnavailable`, after which nobody else is called.
        """
        try:
            calls = self._to_be_called()
            if calls:
                self._call_all(calls)
            self._record.settle()
        except StoreUnavailable:
            raise
        except BaseException as error:
            self._break_off(error)
            raise
        return self._outcome(bool(calls))

    # Whom to call.

    def _to_be_called(self) -> list[Call]:
        """The receivers that aren't done with the event, and are due."""
        connected = self._host.calls_for(self._event)
        if self._holding.only:
            self._leave_others(connected)
        elif self._holding.expected:
            self._wait_for_absent(connected)
        calls = [call for call in connected if self._is_to_be_called(call)]
        if not self._first and len(calls) > 1:
            calls.sort(key=self._record.attempts)
        return calls

    def _wait_for_absent(self, connected: Sequence[Call]) -> None:
        for name in self._record.absent({name for call in connected for name in call.names}):
            self._record.expect(name)
            log.warning(
                "%s %s waits for its receiver %s, which this process doesn't have.",
                self._event.type,
                self._event.id,
                name,
                extra=self._facts(name),
            )

    def _leave_others(self, connected: Sequence[Call]) -> None:
        """Note what a replay for some receivers leaves undone, whether this process has those others or not."""
        chosen = {name for call in connected if call.name in self._holding.only for name in call.names}
        for name, receipt in self._holding.receipts.items():
            if name not in chosen:
                self._record.leave(receipt)
        receipts = self._holding.receipts.keys()
        known = {name for call in connected if not receipts.isdisjoint(call.names) for name in call.names}
        for name in self._holding.expected:
            if name not in chosen | known | receipts:
                self._record.leave(None)

    def _is_to_be_called(self, call: Call) -> bool:
        receipt = self._record.receipt_of(call)
        if self._holding.only:
            return call.name in self._holding.only
        if receipt is None:
            return True
        if receipt.state is ReceiptState.STARTED:
            receipt = self._record.died(call, receipt)
            about = (call.name, self._event.type, self._event.id)
            log.error("%s didn't end with %s %s: %s", *about, DIED, extra=self._facts(call.name))
            self._notify_of_failure(call, ProcessDied(DIED))
        return self._record.must_be_called(receipt)

    # Calling them.

    def _call_all(self, calls: Sequence[Call]) -> None:
        held = self._leases.hold(self._key, self._token, self._store.lifeline())
        try:
            ordered: list[tuple[Call, Mark]] = []
            for number, call in enumerate(calls, 1):
                last = number == len(calls) and not ordered
                if (call.condition or call.once_per) and not self._is_wanted(call, held, last=last):
                    continue
                mark = self._mark_of(call)
                if mark is None:
                    self._call(call, held, None, last=last)
                elif not self._call_in_order(call, held, mark, last=last):
                    ordered.append((call, mark))
            self._wait_for_turns(ordered, held)
        finally:
            self._leases.let_go(self._key, self._token)

    def _is_wanted(self, call: Call, held: Held, *, last: bool) -> bool:
        """Whether a receiver wants the event; if not, or if its condition raises, that is recorded.

        A condition may hang or end the process, as a receiver may, so it's counted like a call.
        """
        attempt = Attempt(call, self._store.clock(), None, last)
        if not self._first:
            self._record.start(attempt)
        held.call(call.name, None)
        self._event.stale_if(partial(_is_stale, self._store, self._key, call.names))
        self._store.begin()
        try:
            reason = call.condition.refuses(self._event) if call.condition is not None else None
            if reason is None and call.once_per is not None:
                self._keys[call.name] = key_of(call.once_per, self._event)
        except BaseException as error:  # noqa: BLE001  # as if the receiver had raised it
            self._store.undo()
            self._observe(attempt, partial(_ending_by, error))
            return False
        self._store.undo()
        if not self._leases.holds(self._key, self._token):
            raise claim_lost(self._key)
        if reason is not None:
            self._record.end(attempt, ReceiptState.SKIPPED, note=reason)
            self._tell(call, _SKIPPED.outcome, 0.0)
        elif not self._first and self._mark_of(call) is not None:
            self._record.give_back(attempt)  # its turn may not come, and then it wasn't called
        return reason is None

    def _mark_of(self, call: Call) -> Mark | None:
        if (key := self._keys.get(call.name)) is not None:
            return Mark(call.name, key, ONCE, 0.0)
        order = self._event.order if call.skip_stale else None
        return None if order is None else Mark(call.name, *order)

    def _wait_for_turns(self, ordered: list[tuple[Call, Mark]], held: Held) -> None:
        """Call those whose turn comes soon: Whop waits for a moment, a worker doesn't."""
        until = time.monotonic() + (0.0 if self._holding.owned else TURN_SECONDS)
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
        self._record.failed |= bool(ordered)
        if ordered and self._holding.owned:
            self._record.due.append(self._store.clock() + _TURN_LATER)

    def _call_in_order(self, call: Call, held: Held, mark: Mark, *, last: bool) -> bool:
        """Call a receiver that takes its events in order; False while it's busy with another one."""
        done_by = self._done_by(call, mark)
        stale = done_by or (not mark.is_once and _is_stale(self._store, self._key, call.names, self._event.order))
        turn = Turn.STALE if stale else self._store.turn(self._key, self._token, mark, self._leases.lease)
        if turn is Turn.GRANTED:
            self._call(call, held, mark, last=last)
        elif turn is Turn.STALE:
            self._skip(call, mark, last=last)
            self._tell(call, _SKIPPED.outcome, 0.0)
        return turn is not Turn.BUSY

    def _done_by(self, call: Call, mark: Mark) -> str | None:
        """The delivery with which a receiver, by whichever of its names, has used up a key."""
        if not mark.is_once:
            return None
        found = (self._store.done_by(self._key, mark._replace(receiver=name)) for name in call.names)
        return next((done_by for done_by in found if done_by is not None), None)

    def _skip(self, call: Call, mark: Mark, *, last: bool) -> None:
        about, note = (call.name, self._event.type, self._event.id), _STALE
        if mark.is_once:
            note = f"Not called: delivery {self._done_by(call, mark)} has done it for the same once_per= key."
        log.info("Skipped %s for %s %s: %s", *about, note, extra=self._facts(call.name))
        self._record.end(Attempt(call, self._store.clock(), None, last), ReceiptState.SKIPPED, note=note)

    def _call(self, call: Call, held: Held, mark: Mark | None, *, last: bool) -> None:
        """Call one receiver and record how it ended."""
        attempt = Attempt(call, self._store.clock(), mark, last)
        if not self._first:
            self._record.start(attempt)
        held.call(call.name, mark)
        # Bound to values only: an event that somebody keeps must keep neither the run nor the receiver alive.
        self._event.stale_if(partial(_is_stale, self._store, self._key, call.names))
        self._ran += 1
        self._observe(attempt, partial(self._call_receiver, attempt))

    def _observe(self, attempt: Attempt, work: Callable[[], Ending]) -> None:
        """Call a receiver by ``work``, in a span if anybody wants it, and tell how it ended."""
        started, tracing = time.perf_counter(), self._host.tracing
        if tracing is None:
            outcome, error = work()
        else:
            outcome, error = tracing.call(self._event, self._key.id, attempt.call.name, work)
        self._tell(attempt.call, outcome, time.perf_counter() - started)
        if error is not None:
            self._fail(attempt, error)

    def _call_receiver(self, attempt: Attempt) -> Ending:
        """Call a receiver, and commit its writes, or undo them if it raised."""
        call = attempt.call
        self._store.begin()
        self._uncommitted = True
        try:
            returned = self._host.call(call.name, call.receiver, event=self._event)
            self._returned = self._answer_of(call, returned) if self._event.wants_answer else None
        except BaseException as error:  # noqa: BLE001  # what to do depends on its cause
            self._uncommitted = False
            self._store.undo()
            return _ending_by(error)
        return self._commit(attempt)

    def _answer_of(self, call: Call, returned: object) -> str | None:
        """What a receiver answers to an event that wants an answer; None if nothing comes of it."""
        if returned is None or call.by_pattern:
            return None
        if self._holding.owned:
            log.error(
                "%s answered %s %s, which Whop doesn't hear: it was answered before the receiver ran. Only"
                ' WHOP_DISPATCH="inline" lets a receiver answer.',
                *(call.name, self._event.type, self._event.id),
                extra=self._facts(call.name),
            )
            return None
        answer = self._host.answer_of(call.name, returned)
        if self._answer is not None:
            log.error(
                "%s answered %s %s, and so did another receiver; Whop gets the first answer. Let only one return"
                " something.",
                *(call.name, self._event.type, self._event.id),
                extra=self._facts(call.name),
            )
            return None
        return answer

    def _commit(self, attempt: Attempt) -> Ending:
        """Record that a receiver returned, unless its writes couldn't be committed."""
        self._uncommitted = False
        try:
            self._record.end(attempt, ReceiptState.DONE, answer=self._returned)
            self._answer = self._answer or self._returned
        except (ClaimLost, StoreUnavailable):
            raise
        except StaleEvent:
            self._skip(attempt.call, cast("Mark", attempt.mark), last=attempt.last)
            return _SKIPPED
        except Exception as error:  # noqa: BLE001  # a store that shares the receiver's transaction raises anything
            return _ending_by(error)
        return _DONE

    def _fail(self, attempt: Attempt, error: BaseException) -> None:
        """Record that a receiver raised, report it, and raise on what concerns the whole process."""
        cause = cause_of(error)
        if cause is Cause.STOP:
            if not self._first or attempt.mark is not None:  # otherwise nothing was recorded yet
                self._record.give_back(attempt)
            raise error
        given_up = isinstance(error, GiveUp)
        if not given_up:
            self._errors.append(error)
            self._record.failed = True
        self._record.end(attempt, ReceiptState.GIVEN_UP if given_up else ReceiptState.FAILED, error)
        self._report(attempt.call, error)
        if cause is not Cause.FAILURE:
            raise error

    def _break_off(self, error: BaseException) -> None:
        """End the claim halfway: the next try comes at once, or a little later if the fault is ours."""
        with suppress(FlaskWhopError):
            if self._uncommitted:
                self._store.undo()
        self._record.break_off(self._retries.first if isinstance(error, Exception) else 0.0)

    def _report(self, call: Call, error: BaseException) -> None:
        """Log what a receiver raised, and report it to whoever listens."""
        about, extra = (call.name, self._event.type, self._event.id), self._facts(call.name)
        exception = error if isinstance(error, Exception) else _exit_by(error)
        if isinstance(error, RetryLater):
            log.info("%s asked to retry %s %s in %.0f s.", *about, error.after, extra=extra)
        elif isinstance(error, GiveUp):
            log.error("%s gave up on %s %s; it won't be retried.", *about, exc_info=error, extra=extra)
        else:
            log.error("%s failed with %s %s.", *about, exc_info=error, extra=extra)
            self._host.report(exception)
        self._notify_of_failure(call, exception)

    def _tell(self, call: Call, outcome: str, seconds: float) -> None:
        keywords = {"receiver": call.name, "outcome": outcome, "seconds": seconds}
        self._host.notify(signals.receiver_called, event=self._event, **keywords)

    def _facts(self, receiver: str) -> dict[str, object]:
        """What a line about a receiver says to programs."""
        event = self._event
        return facts(delivery=self._key.id, type=event.type, account=event.account_id, receiver=receiver)

    def _notify_of_failure(self, call: Call, error: Exception) -> None:
        self._host.notify(signals.receiver_failed, event=self._event, receiver=call.name, error=error)

    def _outcome(self, called: bool) -> Outcome:  # whether there was anybody to call
        event, ran, failed = self._event, self._ran, len(self._errors)
        waits = [error.after for error in self._errors if isinstance(error, RetryLater)]
        if self._record.due:
            wait = max(1.0, min(self._record.due) - self._store.clock())
            return Outcome(Status.RETRY_LATER, event, ran, failed, wait)
        if self._record.dead:
            return Outcome(Status.DEAD, event, ran, failed)
        if failed and len(waits) == failed:
            return Outcome(Status.RETRY_LATER, event, ran, failed, max(waits))
        if failed:
            return Outcome(Status.FAILED, event, ran, failed)
        return Outcome(self._success(called=called), event, ran, answer=self._answer)

    def _success(self, *, called: bool) -> Status:
        if self._busy:
            return Status.RUNNING
        if called:
            return Status.PROCESSED
        return Status.UNHANDLED if self._first else Status.DUPLICATE


def _is_stale(store: Store, key: Key, names: tuple[str, ...], order: Order | None) -> bool:
    """Whether the receiver of these names, the current one first, has handled a later event of the resource."""
    return order is not None and store.is_stale(key, Mark(names[0], *order), names)


def _ending_by(error: BaseException) -> Ending:
    """How a call ended that raised, in the words of receipts; a wish to be called later is no failure."""
    if isinstance(error, RetryLater):
        return Ending(Status.RETRY_LATER.value, error)
    return Ending((ReceiptState.GIVEN_UP if isinstance(error, GiveUp) else ReceiptState.FAILED).value, error)


_DONE: Final = Ending(ReceiptState.DONE.value)
_SKIPPED: Final = Ending(ReceiptState.SKIPPED.value)


def answer_in(receipts: Iterable[Receipt]) -> str | None:
    """Return the answer that a receiver gave to an event that wants one; None if none did."""
    return next((receipt.answer for receipt in receipts if receipt.answer is not None), None)


def _exit_by(error: BaseException) -> ReceiverExited:
    """Wrap what isn't an ``Exception`` in one, for error trackers and signals that take nothing else."""
    exited = ReceiverExited(f"The receiver ended by {type(error).__qualname__}.")
    exited.__cause__ = error
    return exited
