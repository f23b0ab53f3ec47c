"""Deliveries and receipts as the tests of stores write them."""

from __future__ import annotations

from contextlib import nullcontext

from flask_whop.stores import Arrival, Key, MemoryStore, Receipt, ReceiptState, Settlement, State

LEASE = 30.0
DONE = Settlement(State.DONE)
FAILED = Settlement(State.FAILED)
DEAD = Settlement(State.DEAD)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


class World:
    """A store, its clock, and what it takes to use it in another thread."""

    def __init__(self, store, clock, context=nullcontext):
        self.store = store
        self.clock = clock
        self.context = context

    @property
    def keeps_bodies(self):
        """Whether a done delivery still has its body."""
        return not isinstance(self.store, MemoryStore)

    def claim(self, number=1, token="mine", **fields):
        return self.store.claim(arrival(number, **fields), token, LEASE)

    def done(self, number=1, token="mine", receiver="mail", **fields):
        self.claim(number, token, **fields)
        self.store.record(key(number), token, receipt(self.clock.now, receiver), DONE)


def key(number=1):
    return Key("shop", f"msg_{number}")


def arrival(number=1, **fields):
    made = Arrival(
        key(number), "payment.succeeded", "biz_1", "payment:pay_1", 900_000.0, None, 999_999, 0, b'{"id": 1}'
    )
    return made._replace(**fields)


def receipt(now, receiver="mail", state=ReceiptState.DONE, **fields):
    return Receipt(receiver, state, **{"attempts": 1, "first_at": now, "last_at": now, **fields})
