"""Transfers between accounts on Whop."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from flask_whop.events.envelope import Event
from flask_whop.events.money import Money
from flask_whop.events.payload import Reference
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class TransferParty(Reference):
    """One side of a transfer; ``object`` says whether it's an account or a user."""

    object: str | None = None
    """The kind of object: ``account``, ``user``."""
    name: str | None = None
    logo_url: str | None = None


class Transfer(Resource):
    """Money moved from one Whop account to another."""

    object: str | None = None
    """The kind of object: ``transfer``."""
    status: str | None = None
    """``processing``, ``succeeded``, ``failed``."""
    amount: Money | None = None
    fee: Money | None = None
    destination: TransferParty | None = None
    destination_id: str | None = None
    origin: TransferParty | None = None
    origin_id: str | None = None
    failure_code: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, JsonValue] | None = None
    """The seller's own keys and values, set at creation."""
    notes: str | None = None
    tracking_url: str | None = None
    created_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    status_changed_at: Timestamp | None = None
    succeeded_at: Timestamp | None = None


class TransferCreated(Event[Literal["transfer.created"], Transfer]):
    """A transfer went through; Whop sends this at success, not at the start."""


class TransferCompleted(Event[Literal["transfer.completed"], Transfer]):
    """A transfer went through, possibly after a failure."""


class TransferFailed(Event[Literal["transfer.failed"], Transfer]):
    """A transfer failed; it may still succeed under the same id."""
