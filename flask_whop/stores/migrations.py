"""Makes the tables with SQLAlchemy, and migrates those of older releases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn

from flask_whop.errors import ConfigError
from flask_whop.logs import log
from flask_whop.stores import schema as described
from flask_whop.stores.schema import Kind, check_version
from flask_whop.stores.statements import Names

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


def _text(length: int) -> sa.types.TypeEngine[str]:
    # Ids and names differ by case, which MySQL's usual collations ignore. In the order of their
    # bytes, an index finds those that begin with a text.
    return (
        sa.String(length)
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
        .with_variant(sa.String(length, collation="C"), "postgresql")
    )


_KINDS: Final[dict[Kind, sa.types.TypeEngine[Any]]] = {
    Kind.SHORT: _text(64),
    Kind.NAME: _text(255),
    Kind.TEXT: sa.Text().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb"),
    Kind.NUMBER: sa.Double(),
    Kind.WHOLE: sa.BigInteger(),
    Kind.BYTES: sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb"),
}


_WITH_CONDITIONS: Final = ("postgresql", "sqlite")
"""The databases in which an index can be of some rows alone."""
_IS_SMALL: Final = "flask_whop.is_small"


class Tables:
    """The tables whose names begin with ``prefix``, in ``metadata``, which gets those it lacks."""

    def __init__(self, prefix: str, metadata: sa.MetaData) -> None:
        schema = f"{metadata.schema}." if metadata.schema else ""
        for table in described.TABLES:
            if f"{schema}{prefix}{table.name}" not in metadata.tables:
                _add(prefix, table, metadata)
        self.all: list[sa.Table] = [metadata.tables[f"{schema}{prefix}{table.name}"] for table in described.TABLES]
        """Each of them."""
        self.deliveries: sa.Table = self.all[0]
        self.schema: sa.Table = self.all[-1]

    def names(self, dialect: sa.Dialect) -> Names:
        """Return their names in statements."""
        prepare = dialect.identifier_preparer.format_table
        return Names(*map(prepare, self.all[:-1]))

    def version(self, connection: sa.Connection) -> int:
        """Return the version of the tables in the database; 0 if there are none.

        Raises :class:`~flask_whop.errors.ConfigError` if this release would damage them.
        """
        if not sa.inspect(connection).has_table(self.schema.name, schema=self.schema.schema):
            return 0
        row = connection.execute(sa.select(self.schema.c.version, self.schema.c.oldest)).first()
        if row is None:
            return 0
        check_version(row.version, row.oldest, str(connection.engine.url))
        return int(row.version)

    def check(self, connection: sa.Connection) -> None:
        """Raise :class:`~flask_whop.errors.ConfigError` if tables that others made lack what this release needs."""
        for table in self.all:
            if not _exists(connection, table):
                continue  # the first statement says so
            known = _columns_of(connection, table)
            lacking = sorted({column.name for column in table.columns} - known)
            if lacking:
                raise ConfigError(
                    f"The table {table.name} lacks {', '.join(lacking)}, which this release of flask-whop needs:"
                    " migrate it with the app's own migrations, or run `flask whop init-db`."
                )

    def create(self, engine: Engine) -> None:
        """Make the missing tables, and migrate older ones.

        Even on an engine that commits each statement, one transaction makes the tables.
        Indexes on existing tables are made while others write to them.
        """
        options = {"isolation_level": "READ COMMITTED"} if engine.dialect.name == "postgresql" else {}
        with engine.connect().execution_options(**options) as connection, connection.begin():
            version = self.version(connection)
            if version >= described.VERSION:
                return
            there = {table.name for table in self.all if _exists(connection, table)} if version else set()
            for table in self.all:
                if table.name in there:
                    _add_columns(connection, table)
                else:
                    table.create(connection, checkfirst=True)
                    # A process that was killed in the middle may have left it without its indexes,
                    # where each statement is a transaction of its own.
                    for index in table.indexes:
                        index.create(connection, checkfirst=True)
        self._add_indexes(engine, there)
        with engine.connect().execution_options(**options) as connection, connection.begin():
            connection.execute(self.schema.delete())
            connection.execute(self.schema.insert().values(version=described.VERSION, oldest=described.OLDEST))

    def _add_indexes(self, engine: Engine, there: set[str]) -> None:
        """Make the indexes that existing tables lack, one process at a time."""
        for table in self.all:
            if table.name not in there:
                continue
            with engine.connect() as connection:
                known = {index["name"] for index in sa.inspect(connection).get_indexes(table.name, schema=table.schema)}
                known -= _unusable(connection)
            for index in table.indexes:
                wanted = engine.dialect.name in _WITH_CONDITIONS or not index.info[_IS_SMALL]
                if index.name not in known and wanted:
                    _add_index(engine, index)


def _add(prefix: str, table: described.Table, metadata: sa.MetaData) -> None:
    made = sa.Table(
        f"{prefix}{table.name}",
        metadata,
        *(
            sa.Column(
                column.name,
                _KINDS[column.kind],
                nullable=column.nullable,
                server_default=column.default,
                autoincrement=False,
            )
            for column in table.columns
        ),
        sa.PrimaryKeyConstraint(*table.key),
    )
    for index in table.indexes:
        condition = sa.text(index.rows) if index.rows else None
        added = sa.Index(
            f"{prefix}{table.name}_{index.name}",
            *(made.c[column] for column in index.columns),
            postgresql_where=condition,
            sqlite_where=condition,
            info={_IS_SMALL: index.is_small},
        )
        if index.is_small:
            added.ddl_if(callable_=lambda *_all, dialect, **_about: dialect.name in _WITH_CONDITIONS)


def _exists(connection: sa.Connection, table: sa.Table) -> bool:
    return sa.inspect(connection).has_table(table.name, schema=table.schema)


def _columns_of(connection: sa.Connection, table: sa.Table) -> set[str]:
    return {column["name"] for column in sa.inspect(connection).get_columns(table.name, schema=table.schema)}


def _add_columns(connection: sa.Connection, table: sa.Table) -> None:
    known = _columns_of(connection, table)
    name = connection.dialect.identifier_preparer.format_table(table)
    for column in table.columns:
        if column.name not in known:
            connection.execute(sa.text(f"ALTER TABLE {name} ADD COLUMN {CreateColumn(column).compile(connection)}"))


def _unusable(connection: sa.Connection) -> set[str]:
    """Return PostgreSQL's indexes that are being made, or whose making was cut short."""
    if connection.dialect.name != "postgresql":
        return set()
    made = "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE NOT indisvalid"
    return set(connection.scalars(sa.text(made)))


def _add_index(engine: Engine, index: sa.Index) -> None:
    """Make an index while others write to its table; without it, the app still starts, but is slower."""
    make = str(sa.schema.CreateIndex(index).compile(engine))
    try:
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                _add_concurrently(connection, index, make)
        else:
            with engine.connect() as connection:
                connection.execute(sa.text(make))
    except DBAPIError as error:
        log.warning(
            "The index %s couldn't be made (%s); without it, the store gets slower as it grows. `flask whop init-db`"
            " tries again.",
            index.name,
            type(error.orig).__name__,
        )


def _add_concurrently(connection: sa.Connection, index: sa.Index, make: str) -> None:
    try:
        mine = sa.text("SELECT pg_try_advisory_lock(hashtext(:name))")
        if not connection.scalar(mine, {"name": index.name}):
            return  # another process is making it
        # It waits for transactions that began before it; nothing waits for it.
        connection.execute(sa.text("SET lock_timeout = 0"))
        name = connection.dialect.identifier_preparer.format_index(index)
        connection.execute(sa.text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        connection.execute(sa.text(re.sub(r"\ACREATE INDEX", "CREATE INDEX CONCURRENTLY", make)))
    finally:
        connection.invalidate()  # with its lock and its setting
