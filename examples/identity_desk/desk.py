"""The desk's own rows, in SQLite."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote, urlsplit

SCHEMA = """
create table if not exists people (
    profile_id text primary key,
    name text,
    email text,
    reason text,
    session_url text,
    happened_at real not null,
    is_open integer not null
) strict
"""

# One statement decides and writes, since deliveries arrive at once and in any order; a stale
# one changes nothing. A pinned webhook sends only the id, so a known name is kept.
OPEN = """
insert into people (profile_id, name, email, reason, session_url, happened_at, is_open)
values (?, ?, ?, ?, ?, ?, 1)
on conflict (profile_id) do update set
    name = coalesce(excluded.name, name),
    email = coalesce(excluded.email, email),
    reason = coalesce(excluded.reason, reason),
    session_url = coalesce(excluded.session_url, session_url),
    happened_at = excluded.happened_at,
    is_open = 1
where excluded.happened_at >= people.happened_at
"""

CLOSE = """
insert into people (profile_id, happened_at, is_open) values (?, ?, 0)
on conflict (profile_id) do update set happened_at = excluded.happened_at, is_open = 0
where excluded.happened_at >= people.happened_at
"""

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")

LATEST = datetime(9999, 1, 1, tzinfo=timezone.utc).timestamp()

ROWS = """
select profile_id, name, email, reason, session_url, happened_at from people
where is_open order by happened_at desc, profile_id
"""


@dataclass(frozen=True)
class Row:
    """Somebody who has to act."""

    profile_id: str
    name: str | None
    email: str | None
    reason: str | None
    session_url: str | None
    happened_at: datetime

    @property
    def link(self) -> str | None:
        """The person's own way on, to be passed on to them, if it is a web address; otherwise None."""
        try:
            return self.session_url if self.session_url and urlsplit(self.session_url).scheme == "https" else None
        except ValueError:
            return None

    @property
    def mail(self) -> str | None:
        """A mail to the person, begun with the reason and the link, if the address is one; otherwise None."""
        if self.email is None or not ADDRESS.fullmatch(self.email):
            return None
        text = "\n\n".join(filter(None, ("Your verification needs one more step from you.", self.reason, self.link)))
        return f"mailto:{quote(self.email)}?subject={quote('Your identity verification')}&body={quote(text)}"


def seconds_of(moment: datetime) -> float:
    """Return the time in unix seconds, within the years that every calendar and zone can show."""
    return min(max(moment.timestamp(), 0.0), LATEST)


class Desk:
    """Who has to act, stored in the file ``database``."""

    def __init__(self, database: Path) -> None:
        self._database = database
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database.touch(mode=0o600)  # it holds people's names and addresses
        with self._connection() as connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute(SCHEMA)

    def open(self, row: Row) -> None:
        """Record that somebody has to act, unless something newer is known."""
        with self._connection() as connection:
            connection.execute(
                OPEN,
                (row.profile_id, row.name, row.email, row.reason, row.session_url, seconds_of(row.happened_at)),
            )

    def close(self, profile_id: str, happened_at: datetime) -> None:
        """Record that somebody no longer has to act, unless something newer is known."""
        with self._connection() as connection:
            connection.execute(CLOSE, (profile_id, seconds_of(happened_at)))

    def rows(self) -> list[Row]:
        """Return who has to act, newest first."""
        with self._connection() as connection:
            return [
                Row(profile_id, name, email, reason, session_url, datetime.fromtimestamp(happened_at, timezone.utc))
                for profile_id, name, email, reason, session_url, happened_at in connection.execute(ROWS)
            ]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._database, timeout=4)) as connection, connection:
            yield connection
