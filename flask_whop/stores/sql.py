"""What the stores in databases share: how each thing that a store does is done by statements."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial, wraps
from secrets import token_hex
from typing import Concatenate, Final, ParamSpec, Protocol, TypeAlias, TypeVar

from flask_whop.errors import ConfigError, StoreUnavailable
from flask_whop.stores.protocol import (
    Accepted,
    Arrival,
    Claim,
    Due,
    Filter,
    Key,
    Mark,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Stats,
    Store,
    Stored,
    Taken,
    Turn,
    claim_lost,
    warn_of_dead_letters,
)
from flask_whop.stores.statements import PRUNED_AT_ONCE, Statements
from flask_whop.texts import ascii_of, storable

Values: TypeAlias = Mapping[str, object]
Row: TypeAlias = Sequence[object]

VERSION: Final = 1
"""The version of the tables that this release reads and writes."""


class Unstorable(StoreUnavailable):
    """A text has characters that the database cannot keep."""


class Connection(Protocol):
    """One transaction."""

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that gives rows."""
        ...

    def change(self, statement: str, values: Values) -> int:
        """Run a statement that changes rows; how many it found."""
        ...


StoreT = TypeVar("StoreT", bound="SqlStore")
Asked = ParamSpec("Asked")
ResultT = TypeVar("ResultT")


def repeatable(
    method: Callable[Concatenate[StoreT, Asked], ResultT],
) -> Callable[Concatenate[StoreT, Asked], ResultT]:
    """Say of a store's method that it may be done again, even if the first try had reached the database after all."""

    @wraps(method)
    def call(self: StoreT, /, *args: Asked.args, **keywords: Asked.kwargs) -> ResultT:
        return self._persist(partial(method, self, *args, **keywords))

    return call


class SqlStore(Store, ABC):
    """A store in a database, whichever it is; :meth:`_single` and :meth:`_transaction` reach it.

    ``clock`` gives the unix time that leases go by.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._keeps_bodies = True

    @property
    @abstractmethod
    def _statements(self) -> Statements:
        """The statements for this database."""

    @abstractmethod
    def _single(self) -> AbstractContextManager[Connection]:
        """Reach the database for one statement, which is a transaction of its own."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """Reach the database for several statements: all of them happen, or none."""

    def _persist(self, call: Callable[[], ResultT]) -> ResultT:
        """Do what is :func:`repeatable`; a store whose connection can be lost does it again then."""
        return call()

    @repeatable
    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Take a delivery for processing while its sender waits."""
        now = self._now()
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
        return self._accept(arrival, due_in, f"accepted-{token_hex(8)}")

    @repeatable
    def _accept(self, arrival: Arrival, due_in: float, token: str) -> Accepted:
        now = self._now()
        values = {**_arrived(arrival, now), "due_at": now + due_in, "token": token}
        with self._single() as connection:
            changed = _upsert(connection, self._statements.accept, self._statements.accepted, values)
        if changed:
            return Accepted(changed=True, state=State.DUE)
        with self._single() as connection:
            rows = connection.rows(self._statements.standing, arrival.key._asdict())
        if not rows:
            # It was deleted at this very moment, and Whop is to send it again.
            return Accepted(changed=False, state=State.RUNNING, owned=False)
        if rows[0][3] == token:
            # As with a claim, a statement that was sent again had done its work before.
            return Accepted(changed=True, state=State.DUE)
        return Accepted(changed=False, state=State(rows[0][0]), owned=bool(rows[0][1]))

    def _now(self) -> float:
        """The time; a store that has to look for it first, does."""
        return self.clock()

    @repeatable
    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out."""
        now = self._now()
        values = {
            **key._asdict(),
            "token": token,
            "until": now + lease,
            "now": now,
            "latest": _END_OF_TIME if early else now,
        }
        with self._transaction() as connection:
            if not connection.change(self._statements.take, values) and not connection.rows(
                self._statements.taken, values
            ):
                # The second look finds what was taken by a statement whose answer was lost.
                return None
            [row] = connection.rows(self._statements.get, key._asdict())
            receipts = map(_receipt, connection.rows(self._statements.receipts, key._asdict()))
            return Taken(_stored(row), {receipt.receiver: receipt for receipt in receipts})

    @repeatable
    def due(self, endpoint: str, limit: int) -> Sequence[Due]:
        """Up to ``limit`` deliveries that :meth:`take` would give."""
        values = {"endpoint": endpoint, "now": self._now(), "limit": limit}
        with self._single() as connection:
            rows = connection.rows(self._statements.due, values)
        return [Due(Key(str(row[0]), str(row[1])), alone=_whole(row[2]) > 0) for row in rows]

    @repeatable
    def postpone(self, key: Key, due_at: float) -> None:
        """Let a delivery that is due be due at another time."""
        with self._single() as connection:
            connection.change(self._statements.postpone, {**key._asdict(), "due_at": due_at})

    @repeatable
    def renew(self, key: Key, token: str, lease: float, mark: Mark | None = None) -> bool:
        """Hold a claim for ``lease`` seconds from now."""
        with self._single() as connection:
            return renewed(connection, self._statements, held_values(key, token, mark), self.clock() + lease)

    @repeatable
    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Let a receiver that wants its events in order go on, or tell why not."""
        now = self._now()
        values = {**held_values(key, token, mark), "now": now, "until": now + lease}
        with self._single() as connection:
            if connection.change(self._statements.turn, values) and self._statements.tells:
                return Turn.GRANTED
            latest, holder = self._standing_of(connection, values)
        if holder == token:
            return Turn.GRANTED
        return Turn.STALE if latest is not None and latest > mark.at else Turn.BUSY

    def _standing_of(
        self, connection: Connection, values: Values, statement: str | None = None
    ) -> tuple[float | None, object]:
        """The latest time that a mark tells, and who has the turn."""
        rows = connection.rows(statement or self._statements.mark, values)
        if not rows:
            return None, None
        latest, holder = rows[0]
        return (None if latest is None else _number(latest)), holder

    def record(
        self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None = None
    ) -> None:
        """Keep a receipt, and end the claim if asked to."""
        try:
            self._record(key, token, receipt, settlement, mark)
        except Unstorable:
            plain = receipt._replace(error=receipt.error and ascii_of(receipt.error))
            self._record(key, token, plain, settlement, mark)

    @repeatable
    def _record(self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None) -> None:
        if settlement is None and mark is None:
            with self._single() as connection:
                written = connection.change(self._statements.record_held, receipt_values(key, token, receipt))
                if not written or self._is_done_already(connection, key, receipt):
                    raise claim_lost(key)
            return
        with self._transaction() as connection:
            self._hold(connection, key, token, settlement)
            self._write(connection, key, receipt)
            if mark is not None:
                moved = self._statements.move if receipt.state is ReceiptState.DONE else self._statements.leave
                connection.change(moved, held_values(key, token, mark))

    def _write(self, connection: Connection, key: Key, receipt: Receipt) -> None:
        """Write a receipt, unless somebody else has been done with it meanwhile."""
        written = connection.change(self._statements.record, receipt_values(key, None, receipt))
        if not written or self._is_done_already(connection, key, receipt):
            raise claim_lost(key)

    def _is_done_already(self, connection: Connection, key: Key, receipt: Receipt) -> bool:
        """Whether a receipt was left as it is, since it is done, by a database that does not tell."""
        if self._statements.tells or receipt.state is ReceiptState.DONE:
            return False
        kept = map(_receipt, connection.rows(self._statements.receipts, key._asdict()))
        return any(one.receiver == receipt.receiver and one.state is ReceiptState.DONE for one in kept)

    def _hold(self, connection: Connection, key: Key, token: str, settlement: Settlement | None) -> None:
        """The fence: hold the row of a delivery, or end the claim on it, if it is still held."""
        values = {**held_values(key, token), "now": self.clock()}
        if settlement is None:
            held = connection.change(self._statements.hold, values) > 0
        else:
            values |= {"state": settlement.state.value, "due_at": settlement.due_at}
            drops = settlement.state is State.DONE and not self._keeps_bodies
            statement = self._statements.settle_without_body if drops else self._statements.settle
            held = connection.change(statement, values) > 0 or self._is_settled(connection, key, token, settlement)
        if not held:
            raise claim_lost(key)

    def _is_settled(self, connection: Connection, key: Key, token: str, settlement: Settlement) -> bool:
        """Whether a settlement that is repeated after a lost connection had been written before."""
        rows = connection.rows(self._statements.standing, key._asdict())
        return bool(rows) and rows[0][3] == token and rows[0][0] == settlement.state.value

    @repeatable
    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        with self._transaction() as connection:
            self._hold(connection, key, token, settlement)

    @repeatable
    def replay(self, key: Key) -> bool:
        """Make a delivery due now, for the receivers that are not done with it."""
        values = {**key._asdict(), "now": self._now()}
        with self._transaction() as connection:
            if not connection.change(self._statements.replay, values):
                return False
            connection.change(self._statements.call_again, values)
            return True

    @repeatable
    def newer(self, key: Key, mark: Mark, names: Sequence[str]) -> bool:
        """Whether the receiver that had one of ``names`` is done with a later event on the line of ``mark``."""
        values = {**key._asdict(), "resource": storable(mark.resource), "at": mark.at}
        with self._single() as connection:
            return any(
                connection.rows(self._statements.newer[mark.field], {**values, "receiver": name}) for name in names
            )

    @repeatable
    def receivers(self, endpoint: str) -> Sequence[str]:
        """The names in the receipts of deliveries that are not done."""
        with self._single() as connection:
            return [str(name) for (name,) in connection.rows(self._statements.receivers, {"endpoint": endpoint})]

    @repeatable
    def get(self, key: Key) -> Stored | None:
        """The delivery, if it is kept."""
        with self._single() as connection:
            rows = connection.rows(self._statements.get, key._asdict())
        return _stored(rows[0]) if rows else None

    @repeatable
    def receipts(self, key: Key) -> Sequence[Receipt]:
        """The receipts of a delivery."""
        with self._single() as connection:
            return [_receipt(row) for row in connection.rows(self._statements.receipts, key._asdict())]

    @repeatable
    def find(self, endpoint: str, wanted: Filter, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` deliveries, the latest first."""
        conditions, values = _conditions(wanted)
        statement = f"{self._statements.find}{conditions} ORDER BY received_at DESC, id LIMIT :limit"
        with self._single() as connection:
            rows = connection.rows(statement, {**values, "endpoint": endpoint, "limit": limit})
        return [_stored(row) for row in rows]

    @repeatable
    def stats(self, endpoint: str) -> Stats:
        """Count the deliveries by state."""
        with self._single() as connection:  # two looks, lest a probe takes the write lock of SQLite
            counted = connection.rows(self._statements.counts, {"endpoint": endpoint})
            [(oldest,)] = connection.rows(self._statements.oldest, {"endpoint": endpoint})
        counts = dict.fromkeys(State, 0) | {State(state): _whole(count) for state, count in counted}
        return Stats(counts, None if oldest is None else max(0.0, self.clock() - _number(oldest)))

    def prune(self, endpoint: str, before: float) -> int:
        """Delete what has not changed since ``before``, some at a time so that nobody waits for long."""
        pruned, dead = 0, 0
        while True:
            found, forgotten = self._prune_some(endpoint, before)
            pruned += len(forgotten)
            dead += forgotten.count(State.DEAD.value)
            # Where some have been replayed meanwhile, the next look does not find them any more.
            if found < PRUNED_AT_ONCE:
                warn_of_dead_letters(dead)
                return pruned

    @repeatable
    def _prune_some(self, endpoint: str, before: float) -> tuple[int, list[object]]:
        """Delete some of what is old; how many were found, and the states of those that are gone."""
        forgotten: list[object] = []
        with self._transaction() as connection:
            old = connection.rows(self._statements.old, {"endpoint": endpoint, "before": before})
            for delivery_id, state in old:
                values = {"endpoint": endpoint, "id": delivery_id}
                if connection.change(self._statements.forget, {**values, "before": before}):
                    forgotten.append(state)
                    for statement in self._statements.forget_with:
                        connection.change(statement, values)
        return len(old), forgotten


_END_OF_TIME: Final = 1e12


def renewed(connection: Connection, statements: Statements, held: Values, until: float) -> bool:
    """Hold a claim, and a receiver's turn, until a time; False if the claim is not held any more."""
    values = {**held, "until": until}
    kept = connection.change(statements.renew, values) > 0
    if "line" in held:
        # Whoever has taken the delivery over wants its turn as well.
        connection.change(statements.renew_turn if kept else statements.leave, values)
    return kept


def held_values(key: Key, token: str, mark: Mark | None = None) -> dict[str, object]:
    """The values of a claim, and of the mark of one of its receivers."""
    values: dict[str, object] = {"endpoint": key.endpoint, "id": key.id, "token": token}
    if mark is not None:
        values |= {"receiver": storable(mark.receiver), "line": storable(mark.line), "at": mark.at}
    return values


def receipt_values(key: Key, token: str | None, receipt: Receipt) -> dict[str, object]:
    """The values of a receipt, and of the claim that has to hold for it to be written."""
    values: dict[str, object] = {
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
    return values if token is None else {**values, "token": token}


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
    key, event_type, account_id, resource, occurred_at, updated_at, signed_at, secret_index, body = arrival[:9]
    return {
        "endpoint": key.endpoint,
        "id": key.id,
        "event_type": storable(event_type),
        "account_id": account_id and storable(account_id),
        "resource": resource and storable(resource),
        "occurred_at": occurred_at,
        "updated_at": updated_at,
        "signed_at": signed_at,
        "secret_index": secret_index,
        "body": body,
        "receivers": json.dumps(arrival.receivers) if arrival.receivers else None,
        "signer": arrival.signer,
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
    receivers, signer, body = row[13:16]
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
        receivers=tuple(json.loads(str(receivers))) if receivers else (),
        signer=_text(signer),
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
