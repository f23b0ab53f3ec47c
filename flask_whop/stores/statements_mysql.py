"""The statements of MySQL and MariaDB."""

from __future__ import annotations

from flask_whop.stores.statements import (
    ARRIVED,
    ARRIVED_VALUES,
    MARK,
    OVER,
    RECEIPT_NEW,
    STANDING,
    TAKEABLE,
    TAKING,
    Ending,
    Names,
    Statements,
)
from flask_whop.stores.statements_lookups import KEY


class MySQLStatements(Statements):
    """The statements of MySQL and MariaDB, whose upsert can't have a condition.

    It assigns from left to right. The counters go first and look at the row as it was, so a
    statement that is sent twice counts once; then the token; the rest depends on whether the
    token was set.
    """

    locking: str = " FOR UPDATE"
    passing: str = " FOR UPDATE"
    tells: bool = False
    returns: bool = False
    upserts: bool = False
    has_small_indexes: bool = False

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self._write_upserts()
        self._write_claiming()
        self._write_order()
        self.put_note: str = (
            f"INSERT INTO {names.notes} (endpoint, name, noted_at) VALUES (:endpoint, :name, :at)"
            f" ON DUPLICATE KEY UPDATE noted_at = IF(noted_at < :at, :at, noted_at)"
        )
        self.tally: str = (
            f"INSERT INTO {names.tallies} (endpoint, hour, kind, name, counted)"
            f" VALUES (:endpoint, :hour, :kind, :name, :counted) ON DUPLICATE KEY UPDATE counted = counted + :counted"
        )

    def _write_upserts(self) -> None:
        """Write what makes a delivery a running one, or ours."""
        deliveries = self._names.deliveries
        lapsed = "(state = 'running' AND lease_until < :now)"
        counted = f"lapses = lapses + IF({lapsed}, 1, 0)"
        granted, accepted = f"(({OVER} AND origin <> 'erased') OR {lapsed})", f"(state = 'failed' OR {lapsed})"
        self.claim: str = (
            f"INSERT INTO {deliveries} ({ARRIVED}, state, owned, attempts, lease, lease_until)"
            f" VALUES ({ARRIVED_VALUES}, 'running', 0, 1, :token, :until) ON DUPLICATE KEY UPDATE"
            f" {counted}, attempts = attempts + IF({granted}, 1, 0), lease = IF({granted}, :token, lease),"
            f" owned = IF(lease <=> :token, 0, owned),"
            f" changed_at = IF(lease <=> :token, :now, changed_at), due_at = IF(lease <=> :token, NULL, due_at),"
            f" body = IF(lease <=> :token, :body, body), lease_until = IF(lease <=> :token, :until, lease_until),"
            f" state = IF(lease <=> :token, 'running', state)"
        )
        self.accept: str = (
            f"INSERT INTO {deliveries} ({ARRIVED}, state, owned, attempts, due_at, lease, lease_until)"
            f" VALUES ({ARRIVED_VALUES}, :state, 1, :attempts, :due_at, :token, :until) ON DUPLICATE KEY UPDATE"
            f" {counted}, attempts = attempts + IF({accepted}, :attempts, 0), lease = IF({accepted}, :token, lease),"
            f" owned = IF(lease <=> :token, 1, owned),"
            f" changed_at = IF(lease <=> :token, :now, changed_at), opened_at = IF(lease <=> :token, :now, opened_at),"
            f" due_at = IF(lease <=> :token, :due_at, due_at), body = IF(lease <=> :token, :body, body),"
            f" receivers = IF(lease <=> :token, :receivers, receivers),"
            f" lease_until = IF(lease <=> :token, :until, lease_until), state = IF(lease <=> :token, :state, state)"
        )

    def _write_claiming(self) -> None:
        """Write what claims what is due."""
        deliveries = self._names.deliveries
        self.take: str = f"{self._taking} WHERE {KEY} AND body IS NOT NULL AND {TAKEABLE}"
        # By keys found beforehand, because MySQL scans an index to its end if it changes it meanwhile.
        self.take_due: str = (
            f"UPDATE (SELECT id AS next_id {self._next}{self.passing}) AS chosen STRAIGHT_JOIN {deliveries}"
            f" ON id = next_id AND endpoint = :endpoint SET {TAKING} WHERE {TAKEABLE.replace(':latest', ':now')}"
        )

    def _write_order(self) -> None:
        """Write what keeps the events of a resource in order."""
        marks = self._names.marks
        # A transaction sees the rows as they were when it began, unless it asks for the current ones.
        self.mark_now: str = f"{self.mark} FOR UPDATE"
        self.turn: str = (
            f"INSERT INTO {marks} ({MARK}) VALUES (:endpoint, :receiver, :line, :id, NULL, :token, :until)"
            f" ON DUPLICATE KEY UPDATE token = IF((latest_at IS NULL OR latest_at <= :at)"
            f" AND (token IS NULL OR token = :token OR held_until < :now), :token, token),"
            f" delivery_id = IF(token <=> :token, :id, delivery_id),"
            f" held_until = IF(token <=> :token, :until, held_until)"
        )
        self.advance_once: str = (
            f"INSERT INTO {marks} ({MARK}) VALUES (:endpoint, :receiver, :line, :id, :at, NULL, NULL)"
            f" ON DUPLICATE KEY UPDATE delivery_id = IF(latest_at IS NULL, :id, delivery_id),"
            f" latest_at = IF(latest_at IS NULL, :at, latest_at)"
        )
        self.advance: str = (
            f"INSERT INTO {marks} ({MARK}) VALUES (:endpoint, :receiver, :line, :id, :at, NULL, NULL)"
            f" ON DUPLICATE KEY UPDATE delivery_id = IF(latest_at IS NULL OR latest_at <= :at, :id, delivery_id),"
            f" latest_at = IF(latest_at IS NULL OR latest_at <= :at, :at, latest_at)"
        )

    @property
    def _replaced(self) -> str:
        # The state goes last, because the others depend on it.
        receipts = self._names.receipts
        same = f"VALUES(state) = 'done' AND {receipts}.attempts = VALUES(attempts)"
        kept = f"{receipts}.state = 'done' AND NOT ({same})"
        new = (f"{column} = IF({kept}, {receipts}.{column}, VALUES({column}))" for column in reversed(RECEIPT_NEW))
        return f" ON DUPLICATE KEY UPDATE {', '.join(new)}"


class MariaDBStatements(MySQLStatements):
    """The statements of MariaDB since 10.6, which returns the row that an upsert made, and skips locked rows."""

    passing: str = " FOR UPDATE SKIP LOCKED"
    upserts: bool = True

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self.claim: str = f"{self.claim} RETURNING {STANDING}"
        self.accept: str = f"{self.accept} RETURNING {STANDING}"

    def _ending(self, settle: str) -> Ending:
        # A block, which the client sends as one statement.
        together = (
            f"BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;"
            f" START TRANSACTION; {settle}; IF ROW_COUNT() > 0 THEN {self.record}; COMMIT; SELECT 1;"
            f" ELSE ROLLBACK; SELECT 1 FROM DUAL WHERE 1 = 0; END IF; END"
        )
        return Ending(settle, None, together)
