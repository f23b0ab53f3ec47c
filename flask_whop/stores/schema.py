"""The tables of the stores in databases, described once for all of them.

Columns that are added later are nullable or have a default: a process of the previous
release keeps running beside a new one, and starts again after a rollback. A column that
nothing needs any more is removed a release later.

A new column also takes a new ``VERSION`` here, its place in the statements
(``statements.py``, and the upserts in ``statements_mysql.py``), in the values and rows
(``rows.py``), in the records (``records.py``) and in the memory store. The contract in
the tests runs over all stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from flask_whop.errors import ConfigError

VERSION: Final = 3
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
    """The value of rows that don't set it."""


class Index(NamedTuple):
    """An index of a table."""

    name: str
    columns: tuple[str, ...]
    rows: str
    """The condition on its rows, where the database can have one; a query that uses the index repeats it."""
    is_small: bool = False
    """Whether it's left out where it can't have its condition, since each row would have to be in it."""


class Table(NamedTuple):
    """A table."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Its primary key. The most selective column comes first, so no other index has the key's prefix."""
    indexes: tuple[Index, ...] = ()


def _required(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind, nullable=False) for name in names)


def _optional(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


UNFINISHED_ROWS: Final = "state <> 'done'"
# True of all rows, and each used by one kind of search: while the table is empty, PostgreSQL
# takes every index that begins with the endpoint to be as good as any other, or as the key,
# and keeps that plan when the table is full.
BY_STATE: Final = "changed_at > 0"
BY_TYPE: Final = "received_at > 0"
GIVEN_UP: Final = "state = 'given_up'"
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
        # Deliveries that arrived are signed; those that are pulled aren't.
        Column("origin", Kind.SHORT, nullable=False, default="arrived"),
        *_optional(Kind.WHOLE, "signed_at", "secret_index"),
        *_optional(Kind.TEXT, "receivers"),
        *_optional(Kind.SHORT, "signer", "trace"),
        # Last, so reading the other columns doesn't read it; it may be dropped before the rest.
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
        *_optional(Kind.TEXT, "error", "answer"),
        *_optional(Kind.NUMBER, "seconds"),
    ),
    ("delivery_id", "receiver", "endpoint"),
    (Index("given_up", ("endpoint", "last_at"), GIVEN_UP, is_small=True),),
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
NOTES: Final = Table(
    "notes",
    (*_required(Kind.SHORT, "endpoint"), *_required(Kind.NAME, "name"), *_required(Kind.NUMBER, "noted_at")),
    ("name", "endpoint"),
)
TALLIES: Final = Table(
    "tallies",
    (
        *_required(Kind.SHORT, "endpoint"),
        *_required(Kind.WHOLE, "hour"),
        *_required(Kind.SHORT, "kind"),
        *_required(Kind.NAME, "name"),
        *_required(Kind.WHOLE, "counted"),
    ),
    # By the hour first: those of a window are side by side.
    ("hour", "kind", "name", "endpoint"),
)
SCHEMA: Final = Table("schema", _required(Kind.WHOLE, "version", "oldest"), ("version",))
TABLES: Sequence[Table] = (DELIVERIES, RECEIPTS, MARKS, NOTES, TALLIES, SCHEMA)


def check_version(version: int, oldest: int, where: str) -> None:
    """Raise :class:`~flask_whop.errors.ConfigError` for tables of a newer release that this one would damage."""
    if oldest > VERSION:
        raise ConfigError(
            f"WHOP_STORE: the tables in {where} are of version {version}, which a newer release of flask-whop has"
            f" made; this one knows version {VERSION} and might spoil them. Update flask-whop, or give it another"
            " place."
        )
