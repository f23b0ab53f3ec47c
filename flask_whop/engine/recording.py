"""What one run writes: a receipt for every call, and the settlement that ends the claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from flask_whop.errors import FlaskWhopError, RetryLater
from flask_whop.names import shown_error
from flask_whop.signals.terms import Call
from flask_whop.stores import FINISHED, Key, Mark, Receipt, ReceiptState, Settlement, State

if TYPE_CHECKING:
    from flask_whop.engine.retries import RetryPolicy
    from flask_whop.stores import Store

DIED = "The process was killed, crashed, or hung while this receiver ran."
_ABSENT = (
    "The process that should run this delivery has no receiver of this name, but the one that accepted it had: they run"
    " different code. If the receiver was renamed, give it its former name (was=); if it's gone for good, drop it with"
    " `flask whop deliveries drop`."
)
_TRACEBACK_CHARACTERS = 2000


class Holding(NamedTuple):
    """A delivery that this process has claimed, and what the store knows about it."""

    key: Key
    token: str
    attempts: int
    """How often it has been claimed, this time included."""
    receipts: Mapping[str, Receipt]
    owned: bool = False
    """Whether the retry is ours; otherwise it's Whop's."""
    opened_at: float = 0.0
    """Since when it has been owned, or when it was last replayed, in unix seconds; 0 if it isn't owned."""
    expected: Sequence[str] = ()
    """The names of the receivers that it was accepted for."""
    only: frozenset[str] = frozenset()
    """The names of the receivers to call, if it's replayed for some alone; empty for all."""


class Attempt(NamedTuple):
    """One call of a receiver."""

    call: Call
    started: float
    """When it began, in unix seconds."""
    mark: Mark | None
    """Its place in the order of its resource's events, for a receiver that skips stale ones."""
    last: bool
    """Whether it's the last call of the run, whose receipt also ends the claim."""


class Record:
    """Writes the receipts of one run, and knows how its claim ends."""

    def __init__(self, store: Store, retries: RetryPolicy, holding: Holding) -> None:
        self.due: list[float] = []
        """When receivers that aren't done are due, in unix seconds."""
        self.dead: int = 0
        """How many receivers ran out of retries."""
        self.failed: bool = False
        """Whether a receiver must be called again by a retry of Whop's."""
        self.settled: bool = False
        self._store = store
        self._retries = retries
        self._holding = holding
        self._earlier = holding.receipts

    # Reading.

    def receipt_of(self, call: Call) -> Receipt | None:
        """Return the earlier receipt of a receiver, by its current or a former name."""
        if not self._earlier:
            return None
        return next((self._earlier[name] for name in call.names if name in self._earlier), None)

    def attempts(self, call: Call) -> int:
        """Return how often a receiver has been called before."""
        receipt = self.receipt_of(call)
        return 0 if receipt is None else receipt.attempts

    def absent(self, present: set[str]) -> list[str]:
        """Return the expected receivers that aren't done and aren't among the names in this process."""
        return [
            name
            for name in self._holding.expected
            if name not in present and (name not in self._earlier or self._earlier[name].state not in FINISHED)
        ]

    def must_be_called(self, receipt: Receipt) -> bool:
        """Whether the receiver of an earlier receipt must be called now; if not, note what that means for the end.

        A receiver that succeeded, gave up or skipped the event is never called again.
        """
        if not self._holding.owned:
            return receipt.state not in FINISHED
        if receipt.state is ReceiptState.FAILED and receipt.due_at is not None and receipt.due_at > self._store.clock():
            self.due.append(receipt.due_at)
            return False
        self.dead += receipt.state is ReceiptState.DEAD
        return receipt.state is ReceiptState.FAILED

    def leave(self, receipt: Receipt | None) -> None:
        """Note what it means for the end that a receiver isn't called this time, whatever its state."""
        if receipt is not None and receipt.state is ReceiptState.DEAD:
            self.dead += 1
        elif receipt is None or receipt.state not in FINISHED:
            self.due.append(self._store.clock() if receipt is None or receipt.due_at is None else receipt.due_at)

    # Writing.

    def expect(self, name: str) -> None:
        """Record that an expected receiver isn't in this process: the delivery waits for it, until the deadline."""
        now, before = self._store.clock(), self._earlier.get(name)
        due_at = self._retries.next_due(self._holding.attempts, self._holding.opened_at, now)
        attempts, first_at = (0, now) if before is None else (before.attempts, before.first_at)
        self._write(self._scheduled(Receipt(name, ReceiptState.FAILED, attempts, first_at, now, None, _ABSENT), due_at))

    def died(self, call: Call, started: Receipt) -> Receipt:
        """Record a failure for a call that never ended, and return its receipt."""
        receipt = started._replace(receiver=call.name, state=ReceiptState.FAILED, error=DIED)
        if self._holding.owned and started.due_at is None:
            # No time was noted after the deadline, or while the retry was Whop's.
            due_at = self._retries.next_due(started.attempts, self._tried_since(started), self._store.clock())
            receipt = receipt._replace(state=ReceiptState.DEAD if due_at is None else receipt.state, due_at=due_at)
        self._write(receipt)
        self._earlier = {**self._earlier, call.name: receipt}
        return receipt

    def start(self, attempt: Attempt) -> None:
        """Count a call before it's made, with the time of the next one in case it never ends."""
        receipt = self._receipt(attempt, ReceiptState.STARTED)
        if self._holding.owned:
            due_at = self._retries.next_due(receipt.attempts, self._tried_since(receipt), attempt.started)
            receipt = receipt._replace(due_at=due_at)
        self._write(receipt)

    def end(
        self,
        attempt: Attempt,
        state: ReceiptState,
        error: BaseException | None = None,
        *,
        note: str | None = None,
        answer: str | None = None,
    ) -> None:
        """Record how a call ended, or why there was none; the last one's receipt settles the delivery too."""
        receipt = self._receipt(attempt, state, note or _error_text(error))
        if state is not ReceiptState.SKIPPED:
            receipt = receipt._replace(seconds=max(0.0, self._store.clock() - attempt.started))
        if answer is not None:
            receipt = receipt._replace(answer=answer)
        if state is ReceiptState.FAILED and self._holding.owned:
            wish = error.after if isinstance(error, RetryLater) else None
            now, since = self._store.clock(), self._tried_since(receipt)
            receipt = self._scheduled(receipt, self._retries.next_due(receipt.attempts, since, now, wish))
        mark = attempt.mark.when_done if attempt.mark is not None and state is ReceiptState.DONE else attempt.mark
        self._write(receipt, self.settlement() if attempt.last else None, mark)
        self.settled = attempt.last

    def give_back(self, attempt: Attempt) -> None:
        """Uncount a call during which the process had to stop, and end its turn."""
        receipt = self._receipt(attempt, ReceiptState.FAILED)
        due_at = attempt.started if self._holding.owned else None
        with suppress(FlaskWhopError):
            self._write(receipt._replace(attempts=receipt.attempts - 1, due_at=due_at), mark=attempt.mark)

    def settle(self) -> None:
        """End the claim, unless the last receipt has."""
        if not self.settled:
            self._store.settle(self._holding.key, self._holding.token, self.settlement())

    def break_off(self, wait: float) -> None:
        """End the claim halfway, so the next try comes ``wait`` seconds later at the earliest."""
        due = Settlement(State.DUE, self._store.clock() + wait)
        # If this can't be written, or was written before, the lease runs out, or is over.
        with suppress(FlaskWhopError):
            settlement = due if self._holding.owned else Settlement(State.FAILED)
            self._store.settle(self._holding.key, self._holding.token, settlement)

    def settlement(self) -> Settlement:
        """Return how the claim would end now."""
        if self.due:
            return Settlement(State.DUE, min(self.due))
        if self.dead:
            return Settlement(State.DEAD)
        return Settlement(State.FAILED if self.failed else State.DONE)

    def _write(self, receipt: Receipt, settlement: Settlement | None = None, mark: Mark | None = None) -> None:
        self._store.record(self._holding.key, self._holding.token, receipt, settlement, mark)

    def _scheduled(self, receipt: Receipt, due_at: float | None) -> Receipt:
        """The receipt of a failure with the time of its retry, or as a dead letter."""
        if due_at is None:
            self.dead += 1
            return receipt._replace(state=ReceiptState.DEAD)
        self.due.append(due_at)
        return receipt._replace(due_at=due_at)

    def _receipt(self, attempt: Attempt, state: ReceiptState, error: str | None = None) -> Receipt:
        call, started = attempt.call, attempt.started
        before = self.receipt_of(call)
        called = state is not ReceiptState.SKIPPED
        if before is None:
            return Receipt(call.name, state, int(called), started, started, None, error)
        replayed = before.last_at < self._holding.opened_at
        first_at = started if replayed else before.first_at
        return Receipt(call.name, state, before.attempts + called, first_at, started, None, error)

    def _tried_since(self, receipt: Receipt) -> float:
        """What the retry deadline counts from: the first call, since no process may have been up before."""
        return max(receipt.first_at, self._holding.opened_at)


def _error_text(error: BaseException | None) -> str | None:
    """What a receiver raised: the end of its traceback, without the values it held."""
    if error is None:
        return None
    text = shown_error(error)
    if len(text) <= _TRACEBACK_CHARACTERS:
        return text
    kind = f"{type(error).__qualname__[:100]} …"
    return kind + text[len(kind) - _TRACEBACK_CHARACTERS :]
