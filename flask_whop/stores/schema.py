"""The tables of the stores by SQLAlchemy."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from flask_whop.stores.statements import INDEXES, Names


class Tables:
    """The tables whose names begin with ``prefix``, in ``metadata``, to which they are added unless they are there."""

    def __init__(self, prefix: str, metadata: sa.MetaData) -> None:
        schema = f"{metadata.schema}." if metadata.schema else ""
        if f"{schema}{prefix}deliveries" not in metadata.tables:
            _add(prefix, metadata)
        self.deliveries: sa.Table = metadata.tables[f"{schema}{prefix}deliveries"]
        self.receipts: sa.Table = metadata.tables[f"{schema}{prefix}receipts"]
        self.marks: sa.Table = metadata.tables[f"{schema}{prefix}marks"]
        self.schema: sa.Table = metadata.tables[f"{schema}{prefix}schema"]

    @property
    def all(self) -> list[sa.Table]:
        """Each of them."""
        return [self.deliveries, self.receipts, self.marks, self.schema]

    def names(self, dialect: sa.Dialect) -> Names:
        """What they are called in statements."""
        prepare = dialect.identifier_preparer.format_table
        return Names(*(prepare(table) for table in (self.deliveries, self.receipts, self.marks)))


def _add(prefix: str, metadata: sa.MetaData) -> None:
    name, short = _text(255), _text(64)
    deliveries = sa.Table(
        f"{prefix}deliveries",
        metadata,
        sa.Column("endpoint", short, nullable=False),
        sa.Column("id", name, nullable=False),
        sa.Column("event_type", name, nullable=False),
        sa.Column("account_id", name),
        sa.Column("resource", name),
        sa.Column("occurred_at", sa.Double()),
        sa.Column("updated_at", sa.Double()),
        sa.Column("state", short, nullable=False),
        sa.Column("owned", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lapses", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.Column("lease", short),
        sa.Column("lease_until", sa.Double()),
        # How it came here: what has arrived is signed; what was pulled, or sent by hand, need not be.
        sa.Column("origin", short, nullable=False, server_default="arrived"),
        sa.Column("signed_at", sa.BigInteger()),
        sa.Column("secret_index", sa.Integer()),
        sa.Column("receivers", sa.Text()),
        sa.Column("signer", short),
        sa.Column("body", sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")),
        # What tells rows apart goes first: a plan that is made while the table is empty takes
        # any index that begins with the endpoint for as good as the key.
        sa.PrimaryKeyConstraint("id", "endpoint"),
    )
    for index in INDEXES:
        condition = sa.text(index.rows)
        sa.Index(
            f"{prefix}deliveries_{index.name}",
            *(deliveries.c[column] for column in index.columns),
            postgresql_where=condition,
            sqlite_where=condition,
        )
    sa.Table(
        f"{prefix}receipts",
        metadata,
        sa.Column("endpoint", short, nullable=False),
        sa.Column("delivery_id", name, nullable=False),
        sa.Column("receiver", name, nullable=False),
        sa.Column("state", short, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.Column("error", sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")),
        sa.PrimaryKeyConstraint("delivery_id", "receiver", "endpoint"),
    )
    marks = sa.Table(
        f"{prefix}marks",
        metadata,
        sa.Column("endpoint", short, nullable=False),
        sa.Column("receiver", name, nullable=False),
        sa.Column("line", name, nullable=False),
        sa.Column("delivery_id", name, nullable=False),
        sa.Column("latest_at", sa.Double()),
        sa.Column("token", short),
        sa.Column("held_until", sa.Double()),
        sa.PrimaryKeyConstraint("line", "receiver", "endpoint"),
    )
    sa.Index(f"{prefix}marks_delivery", marks.c.delivery_id, marks.c.endpoint)
    sa.Table(f"{prefix}schema", metadata, sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False))


def _text(length: int) -> sa.String:
    # Ids and names differ by case, which MySQL's usual collations overlook.
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )
