"""How the records of a store become the values and the rows of statements, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from flask_whop.errors import StoreUnavailable
from flask_whop.names import storable
from flask_whop.stores.records import Arrival, Filter, Key, Mark, Origin, Receipt, ReceiptState, State, Stored
from flask_whop.stores.schema import BY_STATE, BY_TYPE
from flask_whop.stores.statements import Statements

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


_COMPARED = {
    "account_id": "account_id =",
    "resource": "resource =",
    "since": "received_at >=",
    "until": "received_at <",
}


def searches(
    wanted: Filter, types: Sequence[str] | None, families: Sequence[str] = ()
) -> tuple[list[str], dict[str, object]]:
    """Return the conditions of searches that together find what is wanted, and their values.

    ``types`` are the event types; None means all. ``families`` are those of the deliveries,
    for a text. Each search uses an index: the state's if only unfinished deliveries are
    wanted, otherwise that of the key, the resource, the account, the type, or the state.
    The other conditions filter its rows. ``{deliveries}`` and ``{receipts}`` stand for the
    tables.
    """
    if types is not None and not types:
        return [], {}
    values: dict[str, object] = {f"type_{number}": name for number, name in enumerate(types or ())}
    by_type = [f"{BY_TYPE} AND event_type = :{name}" for name in values]
    by_state = [f"{BY_STATE} AND state = '{state.value}'" for state in wanted.states or State]
    filters = [f"event_type IN ({', '.join(f':{name}' for name in values)})"] if values else []
    if wanted.states:
        named = ", ".join(f"'{state.value}'" for state in wanted.states)
        filters.append(f"state IN ({named})")
    for name, condition in _COMPARED.items():
        if (value := getattr(wanted, name)) is not None:
            filters.append(f"{condition} :{name}")
            values[name] = value
    if wanted.receiver is not None or wanted.receipt_state is not None:
        filters.append(_receipt_like(wanted, values))
    if wanted.before is not None:
        values["before_at"], values["before_id"] = wanted.before
        filters.append("received_at <= :before_at AND (received_at < :before_at OR id < :before_id)")
    indexed = by_state
    if wanted.text is not None:
        indexed = _text_searches(wanted.text, families, values)
    elif wanted.resource is not None:
        indexed = ["resource IS NOT NULL"]
    elif not wanted.states or State.DONE in wanted.states:
        indexed = [""] if wanted.account_id is not None else by_type or by_state
    return [" AND ".join(filter(None, [condition, *filters])) for condition in indexed], values


def _receipt_like(wanted: Filter, values: dict[str, object]) -> str:
    conditions = ["receipt.endpoint = {deliveries}.endpoint", "receipt.delivery_id = {deliveries}.id"]
    if wanted.receiver is not None:
        conditions.append("receipt.receiver = :receiver")
        values["receiver"] = storable(wanted.receiver)
    if wanted.receipt_state is not None:
        conditions.append("receipt.state = :receipt_state")
        values["receipt_state"] = wanted.receipt_state.value
    return f"EXISTS (SELECT 1 FROM {{receipts}} AS receipt WHERE {' AND '.join(conditions)})"  # noqa: S608  # all ours


def _text_searches(text: str, families: Sequence[str], values: dict[str, object]) -> list[str]:
    values["text"] = storable(text)
    resources = [text, *(f"{family}:{text}" for family in families)]
    values.update({f"resource_{number}": storable(name) for number, name in enumerate(resources)})
    named = ", ".join(f":resource_{number}" for number in range(len(resources)))
    return ["id = :text", "account_id = :text", f"resource IN ({named}) AND resource IS NOT NULL"]


def stored_of(row: Row) -> Stored:
    """Return the delivery that a row holds."""
    receivers, signer, origin, trace, body = row[13:18]
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
        trace=text(trace),
    )


def receipt_of(row: Row) -> Receipt:
    """Return the receipt that a row holds."""
    receiver, state, attempts, first_at, last_at, due_at, error, answer = row
    return Receipt(
        str(receiver),
        ReceiptState(state),
        whole(attempts),
        number(first_at),
        number(last_at),
        None if due_at is None else number(due_at),
        text(error),
        text(answer),
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
