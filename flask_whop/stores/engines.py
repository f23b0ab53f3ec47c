"""The engines of the stores: the URL of a database, its driver, and how long we wait for it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from flask_whop.errors import ConfigError, MissingExtraError
from flask_whop.stores.files import make_private

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

CONNECT_SECONDS: Final = 3
"""How long to wait for a connection: less than the 5 seconds within which Whop wants its answer."""

_DRIVERS: Final = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"} | {
    name: f"{name}+pymysql" for name in ("mysql", "mariadb")
}
_EXTRAS: Final = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
# One is for rows, the other for tables, whose default is at least a day.
_MYSQL_LIMIT = (
    f"SET SESSION innodb_lock_wait_timeout = {CONNECT_SECONDS}, SESSION lock_wait_timeout = {CONNECT_SECONDS}"
)
LOCK_LIMITS: Final = {
    "postgresql": f"SET lock_timeout = '{CONNECT_SECONDS}s'",
    "mysql": _MYSQL_LIMIT,
    "mariadb": _MYSQL_LIMIT,
}
"""What limits the wait for locks on a connection, by dialect."""
_DIRECT: Final = {("postgresql", "psycopg"), ("mysql", "pymysql"), ("mariadb", "pymysql")}
_DIRECTLY: Final = "flask_whop_direct"

POOLED: Final = "flask_whop_pooled"
"""The execution option of an engine whose database is reached through a pooler."""

_POOLER: Final = (
    "WHOP_STORE: a pooler between the app and PostgreSQL, such as PgBouncer, doesn't pass lock_timeout on."
    " Add ?pgbouncer=true to the URL, or connect to PostgreSQL itself."
)

_CONNECT_LIMITS: Final = dict.fromkeys(("psycopg", "psycopg2", "pymysql", "mysqldb"), "connect_timeout") | {
    "pg8000": "timeout"
}


class Pool(NamedTuple):
    """How many connections a process may have, and how long a thread waits for one."""

    size: int = 4
    seconds: float = CONNECT_SECONDS


def make_engine(url: str | URL, *, owned: bool = True, pool: Pool = Pool()) -> Engine:  # noqa: B008  # it is frozen
    """Make the engine for ``url``, with the driver that its extra installs and with time limits.

    Unless deliveries are ``owned``, PostgreSQL answers before the disk does. The connections
    of a driver that we use directly commit each statement. Raises
    :class:`~flask_whop.errors.ConfigError` for an invalid URL, and
    :class:`~flask_whop.errors.MissingExtraError` for a driver that is not installed.
    """
    try:
        parsed = sa.make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        pooled = parsed.query.get("pgbouncer") in ("true", "1")
        parsed = parsed.difference_update_query(["pgbouncer"])
        name = parsed.get_backend_name()
        _refuse(parsed)
        arguments = {key: value for key, value in _limits_of(parsed, pooled=pooled).items() if key not in parsed.query}
        limits: dict[str, object] = {}
        if name in _EXTRAS:
            limits = {"pool_size": pool.size, "max_overflow": 0, "pool_timeout": pool.seconds, "pool_use_lifo": True}
        if not pooled and (name, parsed.get_driver_name()) in _DIRECT:
            limits |= {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
            limits |= {"execution_options": {_DIRECTLY: True}}
        engine = sa.create_engine(parsed, connect_args=arguments, hide_parameters=True, **limits)
    except ConfigError:
        raise
    except (ArgumentError, NoSuchModuleError, TypeError, ValueError):
        # Without their messages, which may contain a password.
        raise ConfigError(
            "WHOP_STORE isn't the URL of a known database. Write memory://, sqlite:///whop.sqlite3,"
            " postgresql://user:password@host/database, or mysql://user:password@host/database."
        ) from None
    except ImportError as error:
        extra = _EXTRAS.get(sa.make_url(url).get_backend_name(), "sqlalchemy")
        raise MissingExtraError(f'WHOP_STORE needs {error.name}: pip install "flask-whop[{extra}]"') from None
    file = file_of(parsed)
    if file is not None:
        event.listen(engine, "do_connect", lambda *_: _keep_private(file))
    if pooled:
        engine.update_execution_options(**{POOLED: True})
        return engine
    if name == "postgresql" and not owned:
        event.listen(engine, "connect", _relax)
    if name in LOCK_LIMITS and "lock_timeout" not in f"{arguments.get('options')} {parsed.query.get('options')}":
        event.listen(engine, "connect", partial(limit_waiting, LOCK_LIMITS[name]))
    return engine


def is_direct(engine: Engine) -> bool:
    """Return whether we made an engine for a driver whose connections we use directly."""
    return bool(engine.get_execution_options().get(_DIRECTLY))


def check_pooler(engine: Engine) -> None:
    """Raise if a pooler does not pass on the time limit that :func:`make_engine` sets."""
    if engine.dialect.name != "postgresql" or engine.get_execution_options().get(POOLED):
        return
    try:
        with engine.connect() as connection:
            limit = connection.scalar(sa.text("SHOW lock_timeout"))
    except DBAPIError as error:
        if "unsupported startup parameter" not in str(error.orig):
            return  # another problem, which the next use of the engine raises
        limit = "0"
    if limit == "0" and "options" not in engine.url.query:
        engine.dispose()
        raise ConfigError(_POOLER)


def _refuse(url: URL) -> None:
    """Raise for a URL that SQLAlchemy accepts, but we cannot use."""
    if "@" in (url.host or ""):
        raise ConfigError(
            "WHOP_STORE: the name or the password in the URL has an @, which ends it there; write %40 for it, as"
            " urllib.parse.quote_plus does."
        )
    if url.get_dialect().is_async:
        raise ConfigError(
            f"WHOP_STORE: {url.drivername} is for asyncio, and receivers run without it. Write"
            f" {url.get_backend_name()}://…, and leave the driver to us; the app itself may go on using its own."
        )


def _limits_of(url: URL, *, pooled: bool) -> dict[str, object]:
    """Return a driver's arguments that limit waiting; if it has none, the database is told."""
    driver = url.get_driver_name()
    limits: dict[str, object] = {}
    if (word := _CONNECT_LIMITS.get(driver)) is not None:
        limits[word] = CONNECT_SECONDS
    if pooled:
        # A prepared statement belongs to one server connection, and the next transaction has another.
        limits |= {"prepare_threshold": None} if driver == "psycopg" else {}
    elif driver in ("psycopg", "psycopg2"):
        limits["options"] = f"-c lock_timeout={CONNECT_SECONDS}s"
    return limits


def _keep_private(file: Path) -> None:
    with suppress(OSError):  # the next connection reports better what is wrong
        make_private(file)


def file_of(url: URL) -> Path | None:
    """Return the file of a SQLite database; None for others, and for URLs that SQLite itself reads."""
    name = url.database
    is_file = url.get_backend_name() == "sqlite" and name and name != ":memory:" and not name.startswith("file:")
    return Path(str(name)) if is_file else None


def _relax(connection: Any, _record: object) -> None:
    """Let PostgreSQL answer before the disk does.

    Nothing is owned: what a power cut loses, Whop sends again, or it was done.
    """
    _set(connection, "SET synchronous_commit = off")


def limit_waiting(statement: str, connection: Any, _record: object) -> None:
    """Limit the wait for locks on a new connection."""
    _set(connection, statement)


def _set(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()
    connection.commit()
