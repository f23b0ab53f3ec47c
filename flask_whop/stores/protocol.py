"""What a store has to do."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Claim(NamedTuple):
    """The answer to somebody who wants to process a delivery."""

    granted: bool
    """False while somebody else is processing it."""
    repeated: bool
    """True if the delivery has been claimed before."""
    done: frozenset[str]
    """The names of the receivers that are done with it, and are not to be called again."""


class Store(Protocol):
    """Remembers deliveries, and a receipt for each receiver that is done with one.

    A delivery is known by its endpoint and its signed ``webhook-id``. Each method may
    raise :class:`~flask_whop.errors.StoreUnavailable`; the request is then answered
    503 and Whop retries. All of them are called from several threads at once.
    """

    def claim(self, endpoint: str, delivery_id: str) -> Claim:
        """Take the delivery for processing, in one atomic step."""
        ...

    def record(self, endpoint: str, delivery_id: str, receiver: str) -> None:
        """Note that ``receiver`` is done with a claimed delivery."""
        ...

    def release(self, endpoint: str, delivery_id: str) -> None:
        """Give a claimed delivery back, whether finished or not."""
        ...
