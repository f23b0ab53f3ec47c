"""What the stores in databases share: how each thing that a store does is done by statements."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from secrets import token_hex
from typing import Final, Protocol, TypeAlias

from flask_whop.errors import ConfigError
from flask_whop.stores.protocol import (
    Accepted,
    Arrival,
    Claim,
    Filter,
    Key,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Stats,
    Store,
    Stored,
    Taken,
)
from flask_whop.stores.statements import PRUNED_AT_ONCE, Statements
from flask_whop.texts import storable

Values: TypeAlias = Mapping[str, object]
Row: TypeAlias = Sequence[object]

VERSION: Final = 1
"""The version of the tables that this release reads and writes."""


class Connection(Protocol):
    """One transaction."""

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that gives rows."""
        ...

    def change(self, statement: str, values: Values) -> int:
        """Run a statement that changes rows; how many it found."""
        ...


class SqlStore(Store, ABC):
    """A store in a database, whichever it is; :meth:`_single` and :meth:`_transaction` reach it.

    ``clock`` gives the unix time. Where several machines share a database, their clocks
    have to agree to within a few seconds, since leases are compared with them.
    """

    _statements: Statements

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._settle_done = ""

    @abstractmethod
    def _single(self) -> AbstractContextManager[Connection]:
        """Reach the database for one statement, which is a transaction of its own."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """Reach the database for several statements: all of them happen, or none."""

    def _keep_bodies(self, keep_bodies: bool) -> None:
        self._settle_done = self._statements.settle if keep_bodies else self._statements.settle_without_body

    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Take a delivery for processing while its sender waits."""
        now = self.clock()
        values = {**_arrived(arrival, now), "token": token, "until": now + lease}
        with self._single() as connection:
            granted = _upsert(connection, self._statements.claim, self._statements.claimed, values)
        if not granted:
            return self._refused(arrival.key, token)
        attempts = _whole(granted[0][0])
        return Claim(granted=True) if attempts == 1 else self._granted(arrival.key, attempts)

    def _granted(self, key: Key, attempts: int) -> Claim:
        receipts = {receipt.receiver: receipt for receipt in self.receipts(key)}
        return Claim(granted=True, attempts=attempts, receipts=receipts)

    def _refused(self, key: Key, token: str) -> Claim:
        with self._single() as connection:
            rows = connection.rows(self._statements.standing, key._asdict())
        if not rows:
            # It was deleted at this very moment. Whop's next try finds it gone.
            return Claim(granted=False)
        _, owned, attempts, lease = rows[0]
        if lease == token:
            # A statement that was sent again after a lost connection had done its work before.
            return self._granted(key, _whole(attempts))
        return Claim(granted=False, owned=bool(owned), attempts=_whole(attempts))

    def accept(self, arrival: Arrival, due_in: float) -> Accepted:
        """Make a delivery ours."""
        now = self.clock()
        values = {**_arrived(arrival, now), "due_at": now + due_in, "token": f"accepted-{token_hex(8)}"}
        with self._single() as connection:
            changed = _upsert(connection, self._statements.accept, self._statements.accepted, values)
        if changed:
            return Accepted(changed=True, state=State.DUE)
        with self._single() as connection:
            rows = connection.rows(self._statements.standing, arrival.key._asdict())
        if not rows:
            # It was deleted at this very moment, and Whop is to send it again.
            return Accepted(changed=False, state=State.RUNNING, owned=False)
        return Accepted(changed=False, state=State(rows[0][0]), owned=bool(rows[0][1]))

    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out."""
        now = self.clock()
        values = {
            **key._asdict(),
            "token": token,
            "until": now + lease,
            "now": now,
            "latest": _END_OF_TIME if early else now,
        }
        with self._transaction() as connection:
            if not connection.change(self._statements.take, values):
                return None
            [row] = connection.rows(self._statements.get, key._asdict())
            receipts = map(_receipt, connection.rows(self._statements.receipts, key._asdict()))
            return Taken(_stored(row), {receipt.receiver: receipt for receipt in receipts})

    def due(self, endpoint: str, limit: int) -> Sequence[Key]:
        """Up to ``limit`` deliveries that :meth:`take` would give."""
        values = {"endpoint": endpoint, "now": self.clock(), "limit": limit}
        with self._single() as connection:
            return [Key(str(row[0]), str(row[1])) for row in connection.rows(self._statements.due, values)]

    def renew(self, key: Key, token: str, lease: float) -> bool:
        """Hold a claim for ``lease`` seconds from now."""
        values = {**key._asdict(), "token": token, "until": self.clock() + lease}
        with self._single() as connection:
            return connection.change(self._statements.renew, values) > 0

    def record(self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None) -> None:
        """Keep a receipt, and end the claim if asked to."""
        if settlement is None:
            with self._single() as connection:
                self._write_receipt(connection, key, receipt)
        else:
            with self._transaction() as connection:
                self._write_receipt(connection, key, receipt)
                self._write_settlement(connection, key, token, settlement)

    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        with self._single() as connection:
            self._write_settlement(connection, key, token, settlement)

    def _write_receipt(self, connection: Connection, key: Key, receipt: Receipt) -> None:
        values = {
            "endpoint": key.endpoint,
            "id": key.id,
            "receiver": storable(receipt.receiver),
            "state": receipt.state.value,
            "attempts": receipt.attempts,
            "first_at": receipt.first_at,
            "last_at": receipt.last_at,
            "due_at": receipt.due_at,
            "error": receipt.error,
        }
        connection.change(self._statements.record, values)

    def _write_settlement(self, connection: Connection, key: Key, token: str, settlement: Settlement) -> None:
        statement = self._settle_done if settlement.state is State.DONE else self._statements.settle
        connection.change(
            statement,
            {
                "endpoint": key.endpoint,
                "id": key.id,
                "token": token,
                "state": settlement.state.value,
                "due_at": settlement.due_at,
                "now": self.clock(),
            },
        )

    def replay(self, key: Key) -> bool:
        """Make a delivery due now, for the receivers that are not done with it."""
        values = {**key._asdict(), "now": self.clock()}
        with self._transaction() as connection:
            if not connection.change(self._statements.replay, values):
                return False
            connection.change(self._statements.call_again, values)
            return True

    def newer(self, key: Key, resource: str, occurred_at: float) -> bool:
        """Whether a later event of ``resource`` is done."""
        values = {**key._asdict(), "resource": storable(resource), "occurred_at": occurred_at}
        with self._single() as connection:
            return bool(connection.rows(self._statements.newer, values))

    def get(self, key: Key) -> Stored | None:
        """The delivery, if it is kept."""
        with self._single() as connection:
            rows = connection.rows(self._statements.get, key._asdict())
        return _stored(rows[0]) if rows else None

    def receipts(self, key: Key) -> Sequence[Receipt]:
        """The receipts of a delivery."""
        with self._single() as connection:
            return [_receipt(row) for row in connection.rows(self._statements.receipts, key._asdict())]

    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` deliveries, the latest first."""
        conditions, values = _conditions(wanted)
        statement = f"{self._statements.find}{conditions} ORDER BY received_at DESC, id LIMIT :limit"
        with self._single() as connection:
            rows = connection.rows(statement, {**values, "endpoint": endpoint, "limit": limit})
        return [_stored(row) for row in rows]

    def stats(self, endpoint: str) -> Stats:
        """Count the deliveries by state."""
        with self._transaction() as connection:
            counted = connection.rows(self._statements.counts, {"endpoint": endpoint})
            [(oldest,)] = connection.rows(self._statements.oldest, {"endpoint": endpoint})
        counts = dict.fromkeys(State, 0) | {State(state): _whole(count) for state, count in counted}
        return Stats(counts, None if oldest is None else max(0.0, self.clock() - _number(oldest)))

    def prune(self, endpoint: str, before: float) -> int:
        """Delete what has not changed since ``before``, some at a time so that nobody waits for long."""
        pruned = 0
        while True:
            with self._transaction() as connection:
                old = connection.rows(self._statements.old, {"endpoint": endpoint, "before": before})
                for (delivery_id,) in old:
                    values = {"endpoint": endpoint, "id": delivery_id}
                    connection.change(self._statements.forget_receipts, values)
                    connection.change(self._statements.forget, values)
            pruned += len(old)
            if len(old) < PRUNED_AT_ONCE:
                return pruned


_END_OF_TIME: Final = 1e12


def _upsert(connection: Connection, statement: str, told_by: str | None, values: Values) -> Sequence[Row]:
    """Run an upsert; the row that it made or changed, or nothing if its condition was not met."""
    if told_by is None:
        return connection.rows(statement, values)
    connection.change(statement, values)
    return connection.rows(told_by, {name: values[name] for name in ("endpoint", "id", "token")})


def check_version(version: int, where: str) -> None:
    """Refuse tables that a newer release of this library has made."""
    if version > VERSION:
        raise ConfigError(
            f"WHOP_STORE: the tables in {where} are of version {version}, which a newer release of flask-whop has"
            f" made; this one knows version {VERSION} and might spoil them. Update flask-whop, or give it another"
            " place."
        )


def _arrived(arrival: Arrival, now: float) -> dict[str, object]:
    key, event_type, account_id, resource, occurred_at, signed_at, secret_index, body = arrival
    return {
        "endpoint": key.endpoint,
        "id": key.id,
        "event_type": storable(event_type),
        "account_id": account_id and storable(account_id),
        "resource": resource and storable(resource),
        "occurred_at": occurred_at,
        "signed_at": signed_at,
        "secret_index": secret_index,
        "body": body,
        "now": now,
    }


def _conditions(wanted: Filter) -> tuple[str, dict[str, object]]:
    """The conditions of a search, and their values."""
    found: list[str] = []
    values: dict[str, object] = {}
    if wanted.states:
        names = [f"state_{number}" for number, _ in enumerate(wanted.states)]
        found.append(f"state IN ({', '.join(f':{name}' for name in names)})")
        values |= dict(zip(names, (state.value for state in wanted.states), strict=True))
    if wanted.event_type is not None:
        # `!` escapes, since a backslash does not mean the same in every database.
        pattern = wanted.event_type.replace("!", "!!").replace("_", "!_").replace("%", "!%").replace("*", "%")
        found.append("event_type LIKE :event_type ESCAPE '!'")
        values["event_type"] = pattern
    for name, condition in (("account_id", "="), ("since", "received_at >="), ("until", "received_at <")):
        value = getattr(wanted, name)
        if value is not None:
            found.append(f"account_id = :{name}" if condition == "=" else f"{condition} :{name}")
            values[name] = value
    return "".join(f" AND {condition}" for condition in found), values


def _stored(row: Row) -> Stored:
    body = row[13]
    return Stored(
        Key(str(row[0]), str(row[1])),
        event_type=str(row[2]),
        account_id=_text(row[3]),
        state=State(row[4]),
        owned=bool(row[5]),
        attempts=_whole(row[6]),
        received_at=_number(row[7]),
        opened_at=_number(row[8]),
        changed_at=_number(row[9]),
        due_at=None if row[10] is None else _number(row[10]),
        signed_at=_whole(row[11]),
        secret_index=_whole(row[12]),
        body=None if body is None else bytes(body),  # type: ignore[call-overload]  # bytes, or a memoryview by some drivers
    )


def _receipt(row: Row) -> Receipt:
    receiver, state, attempts, first_at, last_at, due_at, error = row
    return Receipt(
        str(receiver),
        ReceiptState(state),
        _whole(attempts),
        _number(first_at),
        _number(last_at),
        None if due_at is None else _number(due_at),
        _text(error),
    )


def _whole(value: object) -> int:
    return int(value)  # type: ignore[call-overload,no-any-return]  # what the column's type makes sure of


def _number(value: object) -> float:
    return float(value)  # type: ignore[arg-type]  # what the column's type makes sure of


def _text(value: object) -> str | None:
    return None if value is None else str(value)
