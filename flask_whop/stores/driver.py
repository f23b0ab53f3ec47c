"""One database as a process reaches it with the driver's own connections.

What SQLAlchemy does around a statement costs more than most of our statements; its pool does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import DataError, DBAPIError

from flask_whop.stores.database import Database, faults_named
from flask_whop.stores.lookups import ResultT
from flask_whop.stores.rows import Connection, Row, Values
from flask_whop.stores.statements import Names

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import PoolProxiedConnection

_PARAMETER: Final = re.compile(r"(?<!:):([a-z_0-9]+)")


class DriverDatabase(Database):
    """The same, for an engine whose connections commit each statement: of psycopg, or of PyMySQL."""

    def __init__(self, engine: Engine, names: Names, clock: Callable[[], float], *, opened_in: object) -> None:
        super().__init__(engine, names, clock, opened_in=opened_in)
        self._begin: Callable[[Any], AbstractContextManager[object]] = (
            _psycopg_transaction if engine.dialect.driver == "psycopg" else _pymysql_transaction
        )

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run one statement that returns rows, as a transaction of its own."""
        return self._lent(lambda connection: connection.rows(statement, values))

    def change(self, statement: str, values: Values) -> int:
        """Run one statement that changes rows, as a transaction of its own; return how many it found."""
        return self._lent(lambda connection: connection.change(statement, values))

    def transact(self, job: Callable[[Connection], ResultT]) -> ResultT:
        """Run several statements: all of it happens, or nothing if ``job`` raises."""

        def transact(connection: DriverConnection) -> ResultT:
            with self._begin(connection.own):
                return job(connection)

        return self._lent(transact)

    def _lent(self, use: Callable[[DriverConnection], ResultT]) -> ResultT:
        """Use a connection of the pool, and give it back at once."""
        self.leave_to_parent()
        with faults_named():
            lent = self._lend()
            try:
                return use(DriverConnection(lent.driver_connection))
            except Exception as error:
                if not isinstance(error, self._driver_error):
                    raise
                raise self._judged(lent, error) from error
            except BaseException:
                # It was interrupted in the middle of an answer.
                lent.invalidate()
                raise
            finally:
                lent.close()

    def _lend(self) -> PoolProxiedConnection:
        try:
            return self.engine.raw_connection()
        except self._driver_error as error:
            raise DBAPIError(None, None, error, hide_parameters=True) from error

    def _judged(self, lent: PoolProxiedConnection, error: Exception) -> DBAPIError:
        """Return what SQLAlchemy would raise for a driver's error."""
        dialect = self.engine.dialect
        lost = dialect.is_disconnect(error, lent.dbapi_connection, None)  # type: ignore[arg-type]  # those of a driver
        if lost:
            # The idle connections are probably lost too.
            lent.invalidate()
            self.engine.dispose()
        kind = DataError if isinstance(error, dialect.loaded_dbapi.DataError) else DBAPIError
        return kind(None, None, error, hide_parameters=True, connection_invalidated=lost)


class DriverConnection:
    """A driver's connection, for the statements."""

    def __init__(self, connection: Any) -> None:
        self.own: Any = connection
        """The driver's own connection."""

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that returns rows."""
        cursor = self.own.cursor()
        cursor.execute(_text(statement), values)
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def change(self, statement: str, values: Values) -> int:
        """Run a statement that changes rows; return how many it found."""
        cursor = self.own.cursor()
        cursor.execute(_text(statement), values)
        changed: int = cursor.rowcount
        return changed


@cache
def _text(statement: str) -> str:
    """Return a statement with its parameters as the drivers write them."""
    return _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%"))


def _psycopg_transaction(connection: Any) -> AbstractContextManager[object]:
    transaction: AbstractContextManager[object] = connection.transaction()
    return transaction


@contextmanager
def _pymysql_transaction(connection: Any) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
