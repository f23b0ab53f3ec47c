"""How the records of a store become the values and the rows of statements, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from flask_whop.errors import StoreUnavailable
from flask_whop.names import storable
from flask_whop.stores.records import Arrival, Key, Mark, Origin, Receipt, ReceiptState, State, Stored
from flask_whop.stores.statements import AT_ONCE, Statements

_NO_SECRET = -1  # former releases read a number

Values: TypeAlias = Mapping[str, object]
Row: TypeAlias = Sequence[object]


class Unstorable(StoreUnavailable):
    """A text has characters that the database cannot store."""


class Connection(Protocol):
    """One transaction."""

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that returns rows."""
        ...

    def change(self, statement: str, values: Values) -> int:
        """Run a statement that changes rows; return how many it found."""
        ...


Select: TypeAlias = Callable[[str, Values], Sequence[Row]]


def standing_of(rows: Sequence[Row]) -> tuple[float | None, object]:
    """Return the latest time of a mark, and the token that has the turn."""
    if not rows:
        return None, None
    latest, holder = rows[0]
    return (None if latest is None else number(latest)), holder


def renewed(connection: Connection, statements: Statements, held: Values, until: float) -> bool:
    """Hold a claim, and a receiver's turn, until a time; return False if the claim is lost."""
    values = {**held, "until": until}
    holds = connection.change(statements.renew, values) > 0
    if "line" in held:
        # Whoever took the delivery over needs its turn too.
        connection.change(statements.renew_turn if holds else statements.leave, values)
    return holds


def held_values(key: Key, token: str, mark: Mark | None = None) -> dict[str, object]:
    """Return the values of a claim, and of the mark of one of its receivers."""
    values: dict[str, object] = {"endpoint": key.endpoint, "id": key.id, "token": token}
    if mark is not None:
        values |= {"receiver": storable(mark.receiver), "line": storable(mark.line), "at": mark.at}
    return values


def receipt_values(key: Key, token: str, receipt: Receipt) -> dict[str, object]:
    """Return the values of a receipt, and of the claim that must hold for it to be written."""
    return {
        "endpoint": key.endpoint,
        "id": key.id,
        "receiver": storable(receipt.receiver),
        "state": receipt.state.value,
        "attempts": receipt.attempts,
        "first_at": receipt.first_at,
        "last_at": receipt.last_at,
        "due_at": receipt.due_at,
        "error": receipt.error,
        "answer": receipt.answer,
        "seconds": receipt.seconds,
        "token": token,
    }


def arrival_values(arrival: Arrival, now: float) -> dict[str, object]:
    """Return the values of a delivery that has arrived, whose texts are cut to what the columns take."""
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
        "secret_index": _NO_SECRET if secret_index is None else secret_index,
        "body": body,
        "receivers": json.dumps(arrival.receivers) if arrival.receivers else None,
        "signer": arrival.signer,
        "origin": arrival.origin.value,
        "trace": arrival.trace,
        "now": now,
    }


def stored_of(row: Row) -> Stored:
    """Return the delivery that a row holds."""
    receivers, signer, origin, resource, trace, body = row[13:19]
    return Stored(
        Key(str(row[0]), str(row[1])),
        event_type=str(row[2]),
        account_id=text(row[3]),
        state=State(row[4]),
        owned=bool(row[5]),
        attempts=whole(row[6]),
        received_at=number(row[7]),
        opened_at=number(row[8]),
        changed_at=number(row[9]),
        due_at=None if row[10] is None else number(row[10]),
        signed_at=whole(row[11]),
        secret_index=None if row[12] is None or whole(row[12]) == _NO_SECRET else whole(row[12]),
        body=None if body is None else bytes(body),  # type: ignore[call-overload]  # bytes, or a memoryview by some drivers
        receivers=tuple(json.loads(str(receivers))) if receivers else (),
        signer=text(signer),
        origin=Origin(origin),
        resource=text(resource),
        trace=text(trace),
    )


def receipt_of(row: Row) -> Receipt:
    """Return the receipt that a row holds."""
    receiver, state, attempts, first_at, last_at, due_at, error, answer, seconds = row
    return Receipt(
        str(receiver),
        ReceiptState(state),
        whole(attempts),
        number(first_at),
        number(last_at),
        None if due_at is None else number(due_at),
        text(error),
        text(answer),
        None if seconds is None else number(seconds),
    )


def whole(value: object) -> int:
    """Return a whole number from a column."""
    return int(value)  # type: ignore[call-overload,no-any-return]  # what the column's type makes sure of


def number(value: object) -> float:
    """Return a number from a column."""
    return float(value)  # type: ignore[arg-type]  # what the column's type makes sure of


def text(value: object) -> str | None:
    """Return a text from a column, or None."""
    return None if value is None else str(value)


def batches(keys: Sequence[Key]) -> Iterator[tuple[str, list[str]]]:
    """Yield the ids of ``keys`` by endpoint, as many at once as a statement names."""
    for endpoint in sorted({key.endpoint for key in keys}):
        ids = [key.id for key in keys if key.endpoint == endpoint]
        for start in range(0, len(ids), AT_ONCE):
            yield endpoint, ids[start : start + AT_ONCE]


def named(ids: Sequence[str]) -> dict[str, str]:
    """Return the values of a statement that names a batch; the last one fills it up."""
    return {f"id_{number}": ids[min(number, len(ids) - 1)] for number in range(AT_ONCE)}
