"""What the stores in databases share: each thing that a store does, done by statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from secrets import token_hex
from typing import Final

from flask_whop.names import ascii_of, storable
from flask_whop.stores.lookups import Lookups, repeatable
from flask_whop.stores.protocol import Store, claim_lost, warn_of_dead_letters
from flask_whop.stores.records import (
    FINISHED,
    NO_RECEIPTS,
    ONCE,
    Accepted,
    Arrival,
    Claim,
    Due,
    Hold,
    Key,
    Mark,
    Receipt,
    ReceiptState,
    Settlement,
    State,
    Taken,
    Tally,
    Turn,
)
from flask_whop.stores.rows import (
    Connection,
    Row,
    Select,
    Unstorable,
    Values,
    arrival_values,
    batches,
    held_values,
    named,
    receipt_of,
    receipt_values,
    renewed,
    standing_of,
    stored_of,
    whole,
)
from flask_whop.stores.statements import AT_ONCE, Ending

_END_OF_TIME: Final = 1e12


class _Finished(Exception):  # it ends a transaction
    """A receiver has finished what was to be replayed for it."""


_FIRST: Final = Claim(granted=True)


class SqlStore(Lookups, Store):
    """A store in a database, whichever it is.

    ``clock`` gives the unix time that leases and due times use.
    """

    @repeatable
    def claim(self, arrival: Arrival, token: str, lease: float) -> Claim:
        """Claim a delivery while its sender waits."""
        now = self._now()
        values = arrival_values(arrival, now)
        values["token"] = token
        values["until"] = now + lease
        standing = self._upsert(self._statements.claim, values)
        if standing is None:
            # It was deleted just now. Whop's next try finds it gone.
            return Claim(granted=False)
        _, owned, attempts, holder = standing
        # A statement that is sent again after a lost connection may have worked the first time.
        if holder != token:
            return Claim(granted=False, owned=bool(owned), attempts=whole(attempts))
        return _FIRST if attempts == 1 else self._granted(arrival.key, whole(attempts))

    def _granted(self, key: Key, attempts: int) -> Claim:
        return Claim(granted=True, attempts=attempts, receipts=self._receipts_of(key))

    def _upsert(self, statement: str, values: Values) -> Row | None:
        """Run an upsert; return the standing of its delivery, changed or not."""
        if self._statements.upserts:
            rows = self._returning(statement, values)
            if rows:
                return rows[0]
        else:
            self._change(statement, values)
        rows = self._select(self._statements.standing, {"endpoint": values["endpoint"], "id": values["id"]})
        return rows[0] if rows else None

    def accept(self, arrival: Arrival, due_in: float, hold: Hold | None = None) -> Accepted:
        """Make a delivery owned, and claim it at once if asked to."""
        return self._accept(arrival, due_in, hold, f"accepted-{token_hex(8)}" if hold is None else hold.token)

    @repeatable
    def _accept(self, arrival: Arrival, due_in: float, hold: Hold | None, token: str) -> Accepted:
        now = self._now()
        values = arrival_values(arrival, now)
        values["token"] = token
        values["due_at"] = now + due_in
        values["state"], values["attempts"], values["until"] = (
            ("due", 0, None) if hold is None else ("running", 1, now + hold.lease)
        )
        standing = self._upsert(self._statements.accept, values)
        if standing is None:
            # It was deleted just now, and Whop must send it again.
            return Accepted(changed=False, state=State.RUNNING, owned=False)
        state, owned, attempts, holder = standing
        # As with a claim, a statement that was sent again may have worked the first time.
        if holder != token:
            return Accepted(changed=False, state=State(state), owned=bool(owned))
        if hold is None or attempts == 1:
            return Accepted(changed=True, state=State(state))
        receipts = self._receipts_of(arrival.key)
        return Accepted(changed=True, state=State.RUNNING, attempts=whole(attempts), receipts=receipts)

    @repeatable
    def take(self, key: Key, token: str, lease: float, *, early: bool = False) -> Taken | None:
        """Claim a delivery that is due, or whose lease ran out."""
        now = self._now()
        values = {
            "endpoint": key.endpoint,
            "id": key.id,
            "token": token,
            "until": now + lease,
            "now": now,
            "latest": _END_OF_TIME if early else now,
        }
        rows = self._claimed(self._statements.take, values)
        if not rows:
            rows = self._select(self._statements.taken, held_values(key, token))
        return self._taken(rows)[0] if rows else None

    @repeatable
    def take_due(self, endpoint: str, token: str, lease: float, limit: int) -> Sequence[Taken]:
        """Claim up to ``limit`` due deliveries that have not lapsed, together."""
        now = self._now()
        values = {"endpoint": endpoint, "token": token, "until": now + lease, "now": now, "limit": limit}
        rows = self._claimed(self._statements.take_due, values)
        if not rows and not self._statements.returns:
            rows = self._select(self._statements.taken_due, {"endpoint": endpoint, "token": token})
        return sorted(self._taken(rows), key=lambda taken: (taken.delivery.due_at, taken.delivery.key.id))

    def _claimed(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement that claims; return its rows, of which some databases give none."""
        if self._statements.returns:
            return self._returning(statement, values)
        self._change(statement, values)
        return ()

    def _taken(self, rows: Sequence[Row]) -> list[Taken]:
        stored = [stored_of(row) for row in rows]
        # A delivery that is claimed for the first time has no receipts.
        return [Taken(row, NO_RECEIPTS if row.attempts == 1 else self._receipts_of(row.key)) for row in stored]

    def _receipts_of(self, key: Key) -> dict[str, Receipt]:
        return {receipt.receiver: receipt for receipt in self.receipts(key)}

    @repeatable
    def put_back(self, key: Key, token: str) -> None:
        """Make a claimed delivery due again, as if it had not been claimed."""
        self._change(self._statements.put_back, {**held_values(key, token), "now": self._now()})

    @repeatable
    def due(self, endpoint: str, limit: int) -> Sequence[Due]:
        """Return up to ``limit`` deliveries that :meth:`take` would claim."""
        values = {"endpoint": endpoint, "now": self._now(), "limit": limit}
        rows = self._select(self._statements.due, values)
        left_behind = any(whole(row[2]) > 0 and row[3] == 0 for row in rows)
        if left_behind and self._change(self._statements.release, {"endpoint": endpoint, "now": values["now"]}):
            rows = self._select(self._statements.due, values)
        return [Due(Key(str(row[0]), str(row[1])), alone=whole(row[2]) > 0) for row in rows]

    @repeatable
    def postpone(self, key: Key, due_at: float) -> None:
        """Make a due delivery due at another time."""
        self._change(self._statements.postpone, {**key._asdict(), "due_at": due_at})

    @repeatable
    def renew(self, key: Key, token: str, lease: float, mark: Mark | None = None) -> bool:
        """Hold a claim for ``lease`` seconds from now."""
        held = held_values(key, token, mark)
        if mark is None:
            return self._change(self._statements.renew, {**held, "until": self.clock() + lease}) > 0
        return self._transact(lambda connection: renewed(connection, self._statements, held, self.clock() + lease))

    @repeatable
    def turn(self, key: Key, token: str, mark: Mark, lease: float) -> Turn:
        """Decide whether a receiver that wants its events in order may be called."""
        now = self._now()
        values = {**held_values(key, token, mark), "now": now, "until": now + lease}
        if self._change(self._statements.turn, values) and self._statements.tells:
            return Turn.GRANTED
        latest, holder = standing_of(self._select(self._statements.mark, values))
        if holder == token:
            return Turn.GRANTED
        return Turn.STALE if latest is not None and latest > mark.at else Turn.BUSY

    def record(
        self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None = None
    ) -> None:
        """Record a receipt, and end the claim if asked to."""
        try:
            self._record(key, token, receipt, settlement, mark)
        except Unstorable:
            plain = receipt._replace(error=receipt.error and ascii_of(receipt.error))
            self._record(key, token, plain, settlement, mark)

    @repeatable
    def _record(self, key: Key, token: str, receipt: Receipt, settlement: Settlement | None, mark: Mark | None) -> None:
        if mark is None and settlement is None:
            written = self._change(self._statements.record_held, receipt_values(key, token, receipt)) > 0
        elif (
            mark is None
            and settlement is not None
            and (together := self._ending_by(settlement).with_receipt_committed) is not None
        ):
            values = receipt_values(key, token, receipt) | self._end_values(settlement)
            written = bool(self._returning(together, values)) or self._is_settled(self._select, key, token, settlement)
        else:
            self._transact(partial(self._write, key, token, receipt, settlement, mark=mark))
            return
        if not written or self._is_done_already(self._select, key, receipt):
            raise claim_lost(key)

    def _write(  # noqa: PLR0913  # what is recorded
        self,
        key: Key,
        token: str,
        receipt: Receipt,
        settlement: Settlement | None,
        connection: Connection,
        *,
        mark: Mark | None = None,
    ) -> None:
        """Write a receipt behind the fence, end the claim if asked to, and move the mark."""
        values = receipt_values(key, token, receipt)
        if settlement is None:
            written = connection.change(self._statements.record_held, values) > 0
        elif (together := self._ending_by(settlement).with_receipt) is not None:
            rows = connection.rows(together, values | self._end_values(settlement))
            written = bool(rows) or self._is_settled(connection.rows, key, token, settlement)
        else:
            self._end(connection, key, token, settlement)
            written = connection.change(self._statements.record, values) > 0
        # Unless another holder has finished it meanwhile.
        if not written or self._is_done_already(connection.rows, key, receipt):
            raise claim_lost(key)
        if mark is not None:
            moved = self._statements.move if receipt.state is ReceiptState.DONE else self._statements.leave
            connection.change(moved, held_values(key, token, mark))

    def _is_done_already(self, select: Select, key: Key, receipt: Receipt) -> bool:
        """Return whether a database that doesn't report it left a receipt as it is, because it is done."""
        if self._statements.tells or receipt.state is ReceiptState.DONE:
            return False
        stored = map(receipt_of, select(self._statements.receipts, key._asdict()))
        return any(row.receiver == receipt.receiver and row.state is ReceiptState.DONE for row in stored)

    def _end(self, connection: Connection, key: Key, token: str, settlement: Settlement) -> None:
        """End the claim on a delivery, if it is still held."""
        values = held_values(key, token) | self._end_values(settlement)
        ended = connection.change(self._ending_by(settlement).alone, values) > 0
        if not ended and not self._is_settled(connection.rows, key, token, settlement):
            raise claim_lost(key)

    def _ending_by(self, settlement: Settlement) -> Ending:
        drops = settlement.state is State.DONE and not self._keeps_bodies
        return self._statements.ending_without_body if drops else self._statements.ending

    def _end_values(self, settlement: Settlement) -> dict[str, object]:
        return {"ends": settlement.state.value, "ends_due_at": settlement.due_at, "now": self.clock()}

    def _is_settled(self, select: Select, key: Key, token: str, settlement: Settlement) -> bool:
        """Return whether a settlement that is repeated after a lost connection was already written."""
        rows = select(self._statements.standing, key._asdict())
        return bool(rows) and rows[0][3] == token and rows[0][0] == settlement.state.value

    @repeatable
    def settle(self, key: Key, token: str, settlement: Settlement) -> None:
        """End a claim."""
        values = held_values(key, token) | self._end_values(settlement)
        ended = self._change(self._ending_by(settlement).alone, values) > 0
        if not ended and not self._is_settled(self._select, key, token, settlement):
            raise claim_lost(key)

    @repeatable
    def replay(self, key: Key) -> bool:
        """Make a delivery due now, for the receivers that are not done with it."""
        values = {**key._asdict(), "now": self._now()}

        def replay(connection: Connection) -> bool:
            if not connection.change(self._statements.replay, values):
                return False
            connection.change(self._statements.call_again, values)
            return True

        return self._transact(replay)

    def replay_some(
        self, key: Key, hold: Hold, again: Sequence[str], unless_finished: Sequence[str] = ()
    ) -> Taken | None:
        """Claim a delivery that nobody holds, to run some of its receivers again."""
        now = self._now()
        values = {**key._asdict(), "now": now, "latest": _END_OF_TIME, "token": hold.token, "until": now + hold.lease}

        def replay(connection: Connection) -> Sequence[Row]:
            if not connection.change(self._statements.replay, values):
                return ()
            receipts = map(receipt_of, connection.rows(self._statements.receipts, key._asdict()))
            finished = {receipt.receiver for receipt in receipts if receipt.state in FINISHED}
            if finished.intersection(map(storable, unless_finished)):
                raise _Finished
            for receiver in again:
                connection.change(self._statements.call_again_one, {**values, "receiver": storable(receiver)})
            if self._statements.returns:
                return connection.rows(self._statements.take, values)
            connection.change(self._statements.take, values)
            return connection.rows(self._statements.taken, held_values(key, hold.token))

        try:
            taken = self._taken(self._transact(replay))
        except _Finished:
            return None
        return taken[0] if taken else None

    @repeatable
    def put_note(self, endpoint: str, name: str, at: float) -> None:
        """Note a time under ``name``."""
        self._change(self._statements.put_note, {"endpoint": endpoint, "name": storable(name), "at": at})

    @repeatable
    def tally(self, endpoint: str, counts: Mapping[Tally, int]) -> None:
        """Add to what is counted."""
        rows = [
            {"endpoint": endpoint, **tally._asdict(), "name": storable(tally.name), "counted": counted}
            for tally, counted in sorted(counts.items())  # in one order, so that processes don't wait for each other
        ]

        def add(connection: Connection) -> None:
            for values in rows:
                connection.change(self._statements.tally, values)

        self._transact(add)

    def prune(self, endpoint: str, before: float, *, most: int | None = None) -> int:
        """Delete what has not changed since ``before``, in batches so nobody waits long."""
        pruned = dict.fromkeys((State.DONE, State.FAILED, State.DEAD), 0)
        for state in pruned:
            some = AT_ONCE
            while some == AT_ONCE and (most is None or sum(pruned.values()) < most):
                some = self._prune_some(endpoint, before, state)
                pruned[state] += some
        warn_of_dead_letters(pruned[State.DEAD])
        return sum(pruned.values())

    @repeatable
    def erase(self, keys: Sequence[Key]) -> int:
        """Forget the bodies of deliveries that are not running, and what their receivers raised and answered."""

        def erase(connection: Connection) -> int:
            erased = 0
            for endpoint, ids in batches(keys):
                values = {"endpoint": endpoint, "now": self._now(), **named(ids)}
                connection.change(self._statements.erase_texts, values)
                erased += connection.change(self._statements.erase_bodies, values)
            return erased

        return self._transact(erase)

    @repeatable
    def drop_bodies(self, endpoint: str, after: float, before: float) -> int:
        """Forget some bodies of deliveries that are done and arrived within a time; return how many."""
        values = {"endpoint": endpoint, "after": after, "before": before, "limit": AT_ONCE}

        def drop(connection: Connection) -> int:
            ids = [str(row[0]) for row in connection.rows(self._statements.with_old_body, values)]
            if ids:
                connection.change(self._statements.drop_bodies, {"endpoint": endpoint, **named(ids)})
            return len(ids)

        return self._transact(drop)

    @repeatable
    def _prune_some(self, endpoint: str, before: float, state: State) -> int:
        """Delete a batch of old deliveries in one state; return how many."""
        values = {"endpoint": endpoint, "before": before, "state": state.value, "limit": AT_ONCE}

        def prune(connection: Connection) -> int:
            # They are locked until everything is deleted, so no replay comes in between.
            old = [str(row[0]) for row in connection.rows(self._statements.old, values)]
            if old:
                for statement in self._statements.forget:
                    connection.change(statement, {"endpoint": endpoint, "once": f"{ONCE} of %", **named(old)})
            return len(old)

        return self._transact(prune)
