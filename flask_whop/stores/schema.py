"""The tables of the stores in databases, described once for all of them.

What is added later is nullable or has a default: a process of the release before goes on
beside a new one, and starts again after a rollback. A column that nothing needs any more
goes a release later.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from flask_whop.errors import ConfigError

VERSION: Final = 1
"""The version of the tables that this release makes."""
OLDEST: Final = 1
"""The oldest version whose code can use the tables of this one."""


class Kind(Enum):
    """What a column holds."""

    SHORT = "up to 64 characters"
    NAME = "up to 255 characters"
    TEXT = "any text"
    NUMBER = "a number"
    WHOLE = "a whole number"
    BYTES = "bytes"


class Column(NamedTuple):
    """A column."""

    name: str
    kind: Kind
    nullable: bool = True
    default: str | None = None
    """What rows have that say nothing of it."""


class Index(NamedTuple):
    """An index of the deliveries."""

    name: str
    columns: tuple[str, ...]
    rows: str
    """The condition on the rows that it has, which a query repeats that it serves, where the database can."""


class Table(NamedTuple):
    """A table."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Its primary key. What tells rows apart goes first, so that no index begins like it."""
    indexes: tuple[Index, ...] = ()


def _required(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind, nullable=False) for name in names)


def _optional(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


UNFINISHED_ROWS: Final = "state <> 'done'"
# True of all rows, and said by one kind of search each: while the table is empty, PostgreSQL
# takes every index that begins with the endpoint for as good as any other, or as the key, and
# goes on with that plan when it is full.
BY_STATE: Final = "changed_at > 0"
BY_TYPE: Final = "received_at > 0"
INDEXES: Final = (
    Index("unfinished", ("endpoint", "state", "lapses", "due_at"), UNFINISHED_ROWS),
    Index("state", ("endpoint", "state", "received_at", "id"), BY_STATE),
    Index("type", ("endpoint", "event_type", "received_at", "id"), BY_TYPE),
    Index("account", ("endpoint", "account_id", "received_at", "id"), "account_id IS NOT NULL"),
    Index("resource", ("endpoint", "resource"), "resource IS NOT NULL"),
)

DELIVERIES: Final = Table(
    "deliveries",
    (
        *_required(Kind.SHORT, "endpoint"),
        *_required(Kind.NAME, "id", "event_type"),
        *_optional(Kind.NAME, "account_id", "resource"),
        *_optional(Kind.NUMBER, "occurred_at", "updated_at"),
        *_required(Kind.SHORT, "state"),
        *_required(Kind.WHOLE, "owned", "attempts", "lapses"),
        *_required(Kind.NUMBER, "received_at", "opened_at", "changed_at"),
        *_optional(Kind.NUMBER, "due_at"),
        *_optional(Kind.SHORT, "lease"),
        *_optional(Kind.NUMBER, "lease_until"),
        # What has arrived is signed; what was pulled, or sent by hand, need not be.
        Column("origin", Kind.SHORT, nullable=False, default="arrived"),
        *_optional(Kind.WHOLE, "signed_at", "secret_index"),
        *_optional(Kind.TEXT, "receivers"),
        *_optional(Kind.SHORT, "signer"),
        # Last, so that nobody reads it who wants the others; it may go before the rest.
        *_optional(Kind.BYTES, "body"),
    ),
    ("id", "endpoint"),
    INDEXES,
)
RECEIPTS: Final = Table(
    "receipts",
    (
        *_required(Kind.SHORT, "endpoint"),
        *_required(Kind.NAME, "delivery_id", "receiver"),
        *_required(Kind.SHORT, "state"),
        *_required(Kind.WHOLE, "attempts"),
        *_required(Kind.NUMBER, "first_at", "last_at"),
        *_optional(Kind.NUMBER, "due_at"),
        *_optional(Kind.TEXT, "error"),
    ),
    ("delivery_id", "receiver", "endpoint"),
)
MARKS: Final = Table(
    "marks",
    (
        *_required(Kind.SHORT, "endpoint"),
        *_required(Kind.NAME, "receiver", "line", "delivery_id"),
        *_optional(Kind.NUMBER, "latest_at"),
        *_optional(Kind.SHORT, "token"),
        *_optional(Kind.NUMBER, "held_until"),
    ),
    ("line", "receiver", "endpoint"),
    (Index("delivery", ("delivery_id", "endpoint"), ""),),
)
SCHEMA: Final = Table("schema", _required(Kind.WHOLE, "version", "oldest"), ("version",))
TABLES: Sequence[Table] = (DELIVERIES, RECEIPTS, MARKS, SCHEMA)


def check_version(version: int, oldest: int, where: str) -> None:
    """Refuse tables that a newer release has made, and that this one would spoil."""
    if oldest > VERSION:
        raise ConfigError(
            f"WHOP_STORE: the tables in {where} are of version {version}, which a newer release of flask-whop has"
            f" made; this one knows version {VERSION} and might spoil them. Update flask-whop, or give it another"
            " place."
        )
