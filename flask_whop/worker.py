"""Runs what is due, here and now, until told to stop: what ``flask whop work`` does."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from flask_whop.errors import StoreUnavailable
from flask_whop.installation import Installation
from flask_whop.logs import log

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.engine import Outcome
    from flask_whop.stores import Due, Key

DAY: Final = 86_400.0

_POLL_SECONDS = 1.0
_PRUNE_EVERY = 3600.0
_CANDIDATES = 20
_TOGETHER_AFTER = 10.0


def run_due(app: Flask) -> list[Outcome]:
    """Run all that is due, one after the other, and return how each went; made for tests.

    Raises :class:`~flask_whop.errors.StoreUnavailable`.
    """
    engine = Installation.of(app).engine
    outcomes: list[Outcome] = []
    while due := engine.store.due(engine.endpoint, _CANDIDATES):
        for one in due:
            with app.app_context():
                outcome = engine.run(one.key)
            outcomes += [outcome] if outcome is not None else []
    return outcomes


class _Task:
    """A delivery that runs, and whether that is to be alone."""

    def __init__(self, key: Key, alone: bool) -> None:
        self.key = key
        self.alone = alone
        self._since = time.monotonic()

    @property
    def age(self) -> float:
        """How long it has been running, in seconds."""
        return time.monotonic() - self._since


class Worker:
    """Runs the due deliveries of ``app``, ``concurrency`` of them at a time.

    Several workers, on several machines too, share one store: each delivery is claimed
    by one of them. ``told`` is called with the outcome of each.
    """

    def __init__(self, app: Flask, *, concurrency: int = 4, told: Callable[[Outcome], object] = lambda _: None) -> None:
        installation = Installation.of(app)
        self._app = app
        self._engine = installation.engine
        self._keep_seconds = installation.settings.keep_days * DAY
        self._concurrency = concurrency
        self._told = told
        self._stopping = threading.Event()
        self._pruned_at = 0.0
        self._was_alone = False
        self.counts: Counter[str] = Counter()
        """How many deliveries have come to which end, by the names of :class:`~flask_whop.engine.Status`."""

    def stop(self) -> None:
        """Take nothing more; what runs is brought to its end."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether it has been told to stop."""
        return self._stopping.is_set()

    def run(self, *, once: bool = False, idle: Callable[[], object] = lambda: None) -> None:
        """Run what is due until told to stop; with ``once``, until nothing is due.

        ``idle`` is called about once a second. A store that cannot be reached is
        waited for, unless ``once``: then :class:`~flask_whop.errors.StoreUnavailable`
        is raised.
        """
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="flask-whop") as pool:
            running: dict[Future[None], _Task] = {}
            while not self.stopping:
                try:
                    started = self._start(pool, running)
                    self._prune()
                except StoreUnavailable as error:
                    if once:
                        raise
                    log.warning("The store cannot be used, and is tried again in a second: %s", error)
                    started = 0
                if once and not started and not running:
                    return
                self._rest(running, started)
                idle()
            log.info("The worker is told to stop, and brings %d deliveries to their end.", len(running))

    def _start(self, pool: ThreadPoolExecutor, running: dict[Future[None], _Task]) -> int:
        """Start as many as there is room for; how many they were."""
        room = self._concurrency - len(running)
        young = [task for task in running.values() if task.age < _TOGETHER_AFTER]
        if room <= 0 or any(task.alone for task in young):
            return 0
        # Workers that look at the same time see the same: in another order each, they seldom want the same.
        seen = self._engine.store.due(self._engine.endpoint, room + _CANDIDATES)
        busy = {task.key for task in running.values()}
        free = [one for one in seen if one.key not in busy]
        random.shuffle(free)
        chosen = self._choose(free, room, someone_runs=bool(young))
        for key, alone in chosen:
            running[pool.submit(self._run, key)] = _Task(key, alone)
        return len(chosen)

    def _choose(self, free: Sequence[Due], room: int, *, someone_runs: bool) -> Sequence[Due]:
        """What to start: as many as there is room for, or, in turns, one that is to run alone.

        For that the others are waited for, and it is waited for itself, but not for long:
        what hangs must not keep the rest.
        """
        together = [one for one in free if not one.alone]
        alone = next((one for one in free if one.alone), None)
        if alone is None or (together and self._was_alone):
            self._was_alone = False
            return together[:room]
        if someone_runs:
            return ()
        self._was_alone = True
        return [alone]

    def _rest(self, running: dict[Future[None], _Task], started: int) -> None:
        """Wait until there is room, or for a moment if nothing is due."""
        if running:
            done, _ = wait(running, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
            for future in done:
                del running[future]
        elif not started:
            self._stopping.wait(_POLL_SECONDS)

    def _run(self, key: Key) -> None:
        try:
            with self._app.app_context():
                started = time.perf_counter()
                outcome = self._engine.run(key)
        except BaseException:
            # In a thread of the pool nobody else would see it.
            log.exception("Delivery %s could not be run to its end; it stays due.", key.id)
            return
        if outcome is not None:
            self.counts[outcome.status.value] += 1
            log.info(
                "Delivery %s %s: %s, %d receivers called, %d failed, %.1f ms",
                key.id,
                outcome.event.type,
                outcome.status.value,
                outcome.ran,
                outcome.failed,
                (time.perf_counter() - started) * 1000,
            )
            self._told(outcome)

    def _prune(self) -> None:
        """Forget what is old, at the start and then once an hour."""
        if time.monotonic() - self._pruned_at < _PRUNE_EVERY and self._pruned_at:
            return
        self._pruned_at = time.monotonic()
        pruned = self._engine.store.prune(self._engine.endpoint, self._engine.store.clock() - self._keep_seconds)
        if pruned:
            log.info("Forgot %d deliveries that are older than they are kept.", pruned)
