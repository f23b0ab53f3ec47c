"""Runs what is due until it's stopped: what ``flask whop work`` does."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from flask_whop.engine.health import Heartbeat
from flask_whop.engine.installation import Installation
from flask_whop.engine.retries import DAY as DAY
from flask_whop.errors import StoreUnavailable
from flask_whop.grammar import counted
from flask_whop.logs import facts, log

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.engine import Claimed, Outcome
    from flask_whop.stores import Key

_POLL_SECONDS = 1.0
_SLICE = 0.2  # of a wait, after which a signal to stop is noticed
_LINGER = 0.1
_LINGER_PAUSE = 0.02
_PRUNE_EVERY = 3600.0
_PRUNE_PAUSE = 0.1
_PRUNED_AT_ONCE = 100
_CANDIDATES = 20
_TOGETHER_AFTER = 10.0
_BATCH_SECONDS = 0.05
_LARGEST_BATCH = 32
_PUT_BACK_AFTER = 1.0


def run_due(app: Flask) -> list[Outcome]:
    """Run all that is due, one after the other, and return the outcomes; meant for tests.

    Raises :class:`~flask_whop.errors.StoreUnavailable`.
    """
    engine = Installation.of(app).engine
    outcomes: list[Outcome] = []
    while True:
        with app.app_context():  # by which a SessionStore finds its session
            due = engine.store.due(engine.endpoint, _CANDIDATES)
        if not due:
            return outcomes
        for delivery in due:
            with app.app_context():
                outcome = engine.run(delivery.key)
            outcomes += [outcome] if outcome is not None else []


class _Task:
    """What one thread runs: claimed deliveries one after the other, or one that must run alone."""

    def __init__(self, claimed: Iterable[Claimed] = (), *, alone: Key | None = None) -> None:
        self.waiting = deque(claimed)
        self.alone = alone
        self._since = time.monotonic()

    @property
    def age(self) -> float:
        """How long the current delivery has been running, in seconds."""
        return time.monotonic() - self._since

    def next(self) -> Claimed | None:
        """Take the next delivery; None if there is none."""
        self._since = time.monotonic()
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def rest(self) -> Iterator[Claimed]:
        """Take away the deliveries that haven't begun, the last one first."""
        while True:
            try:
                yield self.waiting.pop()
            except IndexError:
                return


class Worker:
    """Runs the due deliveries of ``app``, ``concurrency`` of them at a time.

    Several workers, even on several machines, can share one store: each delivery is
    claimed by one of them.
    """

    def __init__(self, app: Flask, *, concurrency: int = 4) -> None:
        installation = Installation.of(app)
        self._app = app
        self._engine = installation.engine
        self._keep_seconds = installation.settings.keep_days * DAY
        self._concurrency = concurrency
        # Not a threading.Event: a signal handler that sets one while the main thread checks it would deadlock.
        self._stopping = False
        self._woken = threading.Event()
        self._busy_at = 0.0
        self._pruned_at: float | None = None
        self._pruning = 0
        self._looked_at = 0.0
        self._was_alone = False
        self._each_takes = _BATCH_SECONDS
        self._heartbeat = Heartbeat(lambda: self._engine.store, self._engine.endpoint)
        self._counting = threading.Lock()
        self.counts: Counter[str] = Counter()
        """How many deliveries ended how, by the values of :class:`~flask_whop.engine.Status`."""

    def stop(self) -> None:
        """Take nothing more, and finish what runs."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping

    def run(self, *, once: bool = False, idle: Callable[[], object] = lambda: None) -> None:
        """Run what is due until stopped; with ``once``, until nothing is due.

        ``idle`` is called after each look, at least once a second. If the store can't be
        reached, it's tried again, except with ``once``: then
        :class:`~flask_whop.errors.StoreUnavailable` is raised.
        """
        running: dict[Future[None], _Task] = {}
        with (
            ThreadPoolExecutor(self._concurrency, thread_name_prefix="flask-whop") as pool,
            self._listening(for_long=not once),
        ):
            while not self.stopping:
                try:
                    if not once:
                        self._heartbeat.beat()
                    started = self._start(pool, running)
                    self._prune()
                except StoreUnavailable as error:
                    if once:
                        raise
                    log.warning("The store can't be used; trying again in a second: %s", error)
                    started = 0
                if once and not started and not running:
                    return
                if not started:
                    self._sleep()
                for future in [future for future in running if future.done()]:
                    self._put_back(running.pop(future))  # what it didn't begin before stopping
                idle()
            self._heartbeat.end()
            for task in running.values():
                self._put_back(task)
            log.info("Stopping; finishing %d running deliveries.", len(running))

    # Sleeping.

    @contextmanager
    def _listening(self, *, for_long: bool) -> Iterator[None]:
        """Wake up when a delivery is accepted, while the block runs."""
        over = threading.Event()
        if not for_long:
            yield
            return
        thread = threading.Thread(target=self._listen, args=(over,), name="flask-whop waker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_POLL_SECONDS)

    def _listen(self, over: threading.Event) -> None:
        try:
            with self._app.app_context():
                waker = self._engine.store.waker(self._engine.endpoint)
        except Exception:
            log.exception("The worker can't be woken when a delivery is accepted, so each may wait up to a second.")
            return
        try:
            while not over.is_set():
                if waker.wait(_SLICE):
                    self._woken.set()
        finally:
            waker.close()

    def _sleep(self) -> None:
        """Wait until a delivery is accepted or a thread is free, but not for long: some fall due later."""
        until = time.monotonic() + _POLL_SECONDS
        while not self.stopping and time.monotonic() < until:
            # A busy process doesn't announce every delivery.
            lingers = time.monotonic() - self._busy_at < _LINGER
            if self._woken.wait(_LINGER_PAUSE if lingers else _SLICE):
                self._busy_at = time.monotonic()
                break
            if lingers:
                break
        self._woken.clear()

    # Starting.

    def _start(self, pool: ThreadPoolExecutor, running: dict[Future[None], _Task]) -> int:
        """Start as many as there is room for; return how many threads got something to do."""
        for task in running.values():
            if task.age > _PUT_BACK_AFTER and task.waiting:
                self._put_back(task)  # what it runs takes longer than expected
        room = self._concurrency - len(running)
        young = [task for task in running.values() if task.age < _TOGETHER_AFTER]
        if room <= 0 or any(task.alone for task in young):
            return 0
        if self._was_alone or not self._wants_alone(running):
            started = self._start_together(pool, running, room)
            if started:
                return started
        return self._start_alone(pool, running, someone_runs=bool(young))

    def _start_together(self, pool: ThreadPoolExecutor, running: dict[Future[None], _Task], room: int) -> int:
        for number in range(room):
            claimed = self._engine.take_due(self._batch)
            if not claimed:
                return number
            self._was_alone = False
            self._submit(pool, running, _Task(claimed))
        return room

    def _start_alone(self, pool: ThreadPoolExecutor, running: dict[Future[None], _Task], *, someone_runs: bool) -> int:
        """Start a delivery that must run alone, taking turns with the others.

        It waits for the others and they wait for it, but not for long: a hanging one
        mustn't hold up the rest.
        """
        key, others = self._look(running)
        self._was_alone = key is not None and not someone_runs
        if key is None or someone_runs:
            # Looking put back what a dead process had claimed but not begun; that can run now.
            return self._start_together(pool, running, 1) if others and key is None else 0
        self._submit(pool, running, _Task(alone=key))
        return 1

    def _wants_alone(self, running: dict[Future[None], _Task]) -> bool:
        """Whether a delivery must run alone; looked up once a second while there is enough else to do."""
        if time.monotonic() - self._looked_at < _POLL_SECONDS:
            return False
        return self._look(running)[0] is not None

    def _look(self, running: dict[Future[None], _Task]) -> tuple[Key | None, bool]:
        """The next delivery that must run alone, and whether others are due."""
        self._looked_at = time.monotonic()
        busy = {task.alone for task in running.values()}
        due = self._engine.store.due(self._engine.endpoint, _CANDIDATES)
        alone = next((delivery.key for delivery in due if delivery.alone and delivery.key not in busy), None)
        return alone, not all(delivery.alone for delivery in due)

    @property
    def _batch(self) -> int:
        """How many deliveries a thread takes at once: as many as it runs in a moment, so none waits for long."""
        return max(1, min(_LARGEST_BATCH, int(_BATCH_SECONDS / self._each_takes)))

    # Running.

    def _submit(self, pool: ThreadPoolExecutor, running: dict[Future[None], _Task], task: _Task) -> None:
        self._busy_at = time.monotonic()
        future = pool.submit(self._run, task)
        running[future] = task
        future.add_done_callback(lambda _: self._woken.set())

    def _run(self, task: _Task) -> None:
        if (key := task.alone) is not None:
            self._run_one(key, partial(self._engine.run, key))
        while not self.stopping and (claimed := task.next()) is not None:
            started = time.monotonic()
            self._run_one(claimed.taken.delivery.key, partial(self._engine.run_claimed, claimed))
            took = time.monotonic() - started
            # A slow delivery counts at once, quick ones little by little.
            self._each_takes = max(took, 0.9 * self._each_takes + 0.1 * took, 1e-6)

    def _run_one(self, key: Key, run: Callable[[], Outcome | None]) -> None:
        try:
            with self._app.app_context():
                started = time.perf_counter()
                outcome = run()
        except BaseException:
            # In a pool thread nobody else would see it.
            log.exception("Delivery %s couldn't be run to its end; it stays due.", key.id, extra=facts(delivery=key.id))
            return
        if outcome is not None:
            with self._counting:
                self.counts[outcome.status.value] += 1
            event, milliseconds = outcome.event, (time.perf_counter() - started) * 1000
            log.info(
                "Delivery %s %s: %s, %s called, %d failed, %.1f ms",
                key.id,
                event.type,
                outcome.status.value,
                counted(outcome.ran, "receiver"),
                outcome.failed,
                milliseconds,
                extra=facts(
                    delivery=key.id,
                    type=event.type,
                    account=event.account_id,
                    outcome=outcome.status.value,
                    ms=milliseconds,
                ),
            )

    def _put_back(self, task: _Task) -> None:
        for claimed in task.rest():
            try:
                self._engine.put_back(claimed)
            except StoreUnavailable as error:
                log.warning(
                    "Delivery %s couldn't be put back; it's due when its lease ends: %s",
                    claimed.taken.delivery.key.id,
                    error,
                    extra=facts(delivery=claimed.taken.delivery.key.id),
                )

    # Pruning.

    def _prune(self) -> None:
        """Delete some old deliveries; all of them at the start and then once an hour, a hundred at a time."""
        now = time.monotonic()
        if self._pruned_at is not None and now < self._pruned_at:
            return
        pruned = self._engine.retention.prune(self._engine.store.clock() - self._keep_seconds, most=_PRUNED_AT_ONCE)
        self._pruning += pruned
        if pruned >= _PRUNED_AT_ONCE:
            self._pruned_at = now + _PRUNE_PAUSE
            return
        self._pruned_at = now + _PRUNE_EVERY
        if self._pruning:
            log.info("Deleted %s past WHOP_KEEP_DAYS.", counted(self._pruning, "delivery"))
        self._pruning = 0
