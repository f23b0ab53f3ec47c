"""The stores: they remember which receivers are done with which deliveries."""

from __future__ import annotations

from pathlib import Path

from flask_whop.errors import ConfigError
from flask_whop.stores.memory import MemoryStore as MemoryStore
from flask_whop.stores.protocol import Lifeline as Lifeline
from flask_whop.stores.protocol import Store as Store
from flask_whop.stores.records import FINISHED as FINISHED
from flask_whop.stores.records import Accepted as Accepted
from flask_whop.stores.records import Arrival as Arrival
from flask_whop.stores.records import Claim as Claim
from flask_whop.stores.records import Due as Due
from flask_whop.stores.records import Filter as Filter
from flask_whop.stores.records import Hold as Hold
from flask_whop.stores.records import Key as Key
from flask_whop.stores.records import Mark as Mark
from flask_whop.stores.records import Origin as Origin
from flask_whop.stores.records import Receipt as Receipt
from flask_whop.stores.records import ReceiptState as ReceiptState
from flask_whop.stores.records import Settlement as Settlement
from flask_whop.stores.records import State as State
from flask_whop.stores.records import Stats as Stats
from flask_whop.stores.records import Stored as Stored
from flask_whop.stores.records import Taken as Taken
from flask_whop.stores.records import Tally as Tally
from flask_whop.stores.records import Turn as Turn
from flask_whop.stores.waking import Waker as Waker


def store_for(url: str, folder: str | Path, *, pool_size: int = 4, pool_wait: float = 3.0) -> Store:
    """Make the store that ``url`` names; a SQLite file with a relative path is in ``folder``.

    This process opens up to ``pool_size`` connections to a database server; a thread waits
    up to ``pool_wait`` seconds for one.

    Raises :class:`~flask_whop.errors.ConfigError` if it names none, and
    :class:`~flask_whop.errors.MissingExtraError` if its package is not installed.
    """
    if url == "memory://":
        return MemoryStore()
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        from flask_whop.stores.sqlite import SqliteStore  # noqa: PLC0415  # paid for by those who use it

        path = rest.removeprefix("/")
        if not path or path == ":memory:":
            raise ConfigError("WHOP_STORE: sqlite:// needs a file, sqlite:///whop.sqlite3; without one, say memory://.")
        return SqliteStore(Path(folder) / path)
    from flask_whop.stores.sqlalchemy import SQLAlchemyStore  # noqa: PLC0415  # an extra

    return SQLAlchemyStore(url, pool_size=pool_size, pool_wait=pool_wait)
