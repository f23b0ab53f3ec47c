"""Transfers between accounts on Whop."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "Transfer",
    "TransferCompleted",
    "TransferCreated",
    "TransferFailed",
]


class Transfer(Resource):
    """Money moved from one account on Whop to another."""


class TransferCreated(Event[Literal["transfer.created"], Transfer]):
    """A transfer went through; Whop sends this at success, not at the start."""


class TransferCompleted(Event[Literal["transfer.completed"], Transfer]):
    """A transfer went through, perhaps after a failure."""


class TransferFailed(Event[Literal["transfer.failed"], Transfer]):
    """A transfer failed; it may yet succeed under the same id."""
