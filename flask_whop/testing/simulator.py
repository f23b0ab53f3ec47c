"""Plays Whop against an app on a fake clock: its whole retry schedule in a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from heapq import heappop, heappush
from itertools import count
from random import Random
from uuid import uuid4

from flask import Flask

from flask_whop.config import Mode
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import ScriptedFailure
from flask_whop.events import AnyEvent
from flask_whop.events.samples import type_of
from flask_whop.events.samples.facts import iso
from flask_whop.signals import EVENT_SIGNALS
from flask_whop.signals.patterns import matching
from flask_whop.signature import encoded, signed
from flask_whop.testing.answers import status_of
from flask_whop.testing.bodies import body_of
from flask_whop.testing.clock import Duration, FakeClock, seconds
from flask_whop.testing.customers import Customers
from flask_whop.testing.isolation import isolated_signals
from flask_whop.testing.report import Attempt, EventStory, Fate, Kind, SimulationReport
from flask_whop.testing.schedule import ANSWER_LIMIT, RETRY_DELAYS, WebhookHealth
from flask_whop.testing.scripts import Script, ScriptedReceiver, failing, without_tracebacks

_MOST_DUPLICATE_DELAY = 60.0


@dataclass
class _Sent:
    """An event at Whop, and how its deliveries were answered so far."""

    id: str
    type: str
    body: bytes
    happened_at: float
    attempts: list[Attempt] = field(default_factory=list)

    def tries(self) -> int:
        return sum(attempt.kind is not Kind.DUPLICATE for attempt in self.attempts)

    def fate(self, *, disabled: bool) -> Fate:
        if any(attempt.ok for attempt in self.attempts):
            return Fate.ARRIVED
        if self.tries() > len(RETRY_DELAYS):
            return Fate.GIVEN_UP
        if disabled:
            return Fate.DROPPED if self.attempts else Fate.NEVER_SENT
        return Fate.PENDING


class WhopSimulator:
    """Plays Whop against ``app`` on a fake clock, and reports what arrived and what was lost.

    A delivery that isn't answered 2xx within 5 seconds is sent again after 30 s,
    2 min, 8 min, 30 min, 1 h, 3 h, 6 h and then every 12 h, 12 times in all, with the
    same ``webhook-id`` and signed afresh. After 24 hours of failures Whop warns; after
    72 hours and 10 failures it disables the webhook, and sends nothing more.

    Both sides use ``clock``; the default is the app's in a test, or a new one.
    ``duplicates`` is the share of events (0 to 1) that are delivered twice,
    ``disorder`` the longest delay of a first delivery, so events overtake each other;
    both are drawn from ``seed``, the same each time. ``between`` is called with the
    clock after each delivery and as time passes, at least once per ``step``. If the app
    owns its retries (``WHOP_DISPATCH``), the default runs what is due, as a worker
    would; give :meth:`run` a duration then, since Whop's own part is soon over.
    """

    def __init__(  # noqa: PLR0913  # what Whop may do, each by name
        self,
        app: Flask,
        *,
        clock: FakeClock | None = None,
        seed: int = 0,
        duplicates: float = 0.0,
        disorder: Duration = 0,
        between: Callable[[FakeClock], object] | None = None,
        step: Duration = 60,
    ) -> None:
        installation = Installation.of(app)
        installed = installation.verifier.clock
        self.app = app
        self.clock: FakeClock = clock or (installed if isinstance(installed, FakeClock) else FakeClock())
        self._random = Random(seed)  # noqa: S311  # a play, no secret
        self._duplicates = duplicates
        self._disorder = seconds(disorder)
        self._between = between
        if between is None and installation.settings.dispatch is not Mode.INLINE:
            self._between = self._run_due
        self._step = seconds(step)
        self._began = self.clock()
        self._health = WebhookHealth()
        self._events: list[_Sent] = []
        self._receivers: list[tuple[ScriptedReceiver, tuple[str, ...]]] = []
        self._due: list[tuple[float, int, Kind, _Sent]] = []
        self._numbers = count(1)
        self._customers = Customers()
        self._ids = f"msg_{uuid4().hex[:12]}"

    def receiver(  # noqa: PLR0913  # what a script may say, each by name
        self,
        *events: type[AnyEvent] | str,
        name: str | None = None,
        failing_for: Duration = 0,
        failing_times: int = 0,
        fails: Script | None = None,
        takes: Duration = 0,
        error: type[Exception] = ScriptedFailure,
    ) -> ScriptedReceiver:
        """Add a receiver that fails as scripted while the simulation runs, and return it.

        ``events`` are classes, names or patterns; the default is all events. It fails
        for ``failing_for`` from the start, the first ``failing_times`` times with each
        event, or whenever ``fails`` says so, and raises ``error``, which is called with
        a text. ``takes`` is how long it runs.

        Raises :class:`~flask_whop.errors.UnknownEventError` if no event has a name.
        """
        types = dict.fromkeys(name for event in events or ("*",) for name in matching(type_of(event)))
        scripted = ScriptedReceiver(
            name or f"receiver {len(self._receivers) + 1}",
            self.clock,
            fails=fails or failing(timedelta(seconds=seconds(failing_for)), failing_times),
            takes=timedelta(seconds=seconds(takes)),
            error=error,
        )
        self._receivers.append((scripted, tuple(types)))
        return scripted

    def happens(  # noqa: PLR0913  # what an event is made of, each by name
        self,
        event: type[AnyEvent] | str | Mapping[str, object],
        /,
        *,
        after: Duration = 0,
        times: int = 1,
        every: Duration = 3600,
        data: Mapping[str, object] | None = None,
        pin: str | None = None,
    ) -> list[str]:
        """Let an event happen at Whop, ``after`` this long from now, and return its id.

        ``times`` is how many happen, one ``every`` so long, each to another customer. For
        ``event``, ``data`` and ``pin``, see :meth:`WhopTestClient.deliver <flask_whop.testing.WhopTestClient.deliver>`.

        Raises :class:`~flask_whop.errors.UnknownEventError` if no event has this name.
        """
        first = self.clock() + seconds(after)
        happened = [self._happen(event, data, pin, first + number * seconds(every)) for number in range(times)]
        return [sent.id for sent in happened]

    def run(self, duration: Duration | None = None) -> SimulationReport:
        """Let time pass, and return what became of the events.

        It ends after ``duration``; by default, when Whop has nothing more to send. A
        second run continues where the first one ended.
        """
        end = None if duration is None else self.clock() + seconds(duration)
        with ExitStack() as stack:
            stack.enter_context(isolated_signals(self.app))
            stack.enter_context(self.clock.installed_in(self.app))
            stack.enter_context(without_tracebacks())
            self._connect()
            while self._due and (end is None or self._due[0][0] <= end):
                at, _, kind, sent = heappop(self._due)
                self._pass_time(at)
                self._health.look(self.clock())
                if self._health.disabled_at is None:
                    self._attempt(kind, sent)
                    self._let_others_work()
            if end is not None:
                self._pass_time(end)
                self._health.look(self.clock())
        return self._report()

    def _connect(self) -> None:
        for receiver, types in self._receivers:
            for event_type in types:
                EVENT_SIGNALS[event_type].connect(receiver, self.app, name=receiver.name)

    def _happen(
        self,
        event: type[AnyEvent] | str | Mapping[str, object],
        data: Mapping[str, object] | None,
        pin: str | None,
        at: float,
    ) -> _Sent:
        event_id, now = f"{self._ids}_{len(self._events) + 1}", datetime.fromtimestamp(at, tz=timezone.utc)
        body = body_of(event, data, pin, lambda event_type: self._customers.of(event_type, event_id), now)
        sent = _Sent(event_id, str(body["type"]), encoded({**body, "id": event_id, "timestamp": iso(now)}), at)
        self._events.append(sent)
        self._plan(at + self._random.uniform(0, self._disorder), Kind.FIRST, sent)
        return sent

    def _plan(self, at: float, kind: Kind, sent: _Sent) -> None:
        heappush(self._due, (at, next(self._numbers), kind, sent))

    def _pass_time(self, until: float) -> None:
        while self.clock() < until:
            within_step = self._between is None or until - self.clock() <= self._step
            self.clock.set_to(until if within_step else self.clock() + self._step)
            self._let_others_work()

    def _run_due(self, _clock: FakeClock) -> None:
        run_due(self.app)

    def _let_others_work(self) -> None:
        if self._between is not None:
            self._between(self.clock)

    def _attempt(self, kind: Kind, sent: _Sent) -> None:
        started = self.clock()
        request = signed(sent.body, Installation.of(self.app).secret, delivery_id=sent.id, timestamp=int(started))
        response = Installation.of(self.app).post(request)
        in_time = self.clock() - started <= ANSWER_LIMIT.total_seconds()
        ok = in_time and response.status_code // 100 == 2  # noqa: PLR2004  # 2xx
        sent.attempts.append(Attempt(self._since(started), kind, response.status_code, status_of(response), ok))
        if kind is not Kind.DUPLICATE:
            self._go_on(sent, ok=ok)
        if kind is Kind.FIRST and self._random.random() < self._duplicates:
            self._plan(self.clock() + self._random.uniform(0, _MOST_DUPLICATE_DELAY), Kind.DUPLICATE, sent)

    def _go_on(self, sent: _Sent, *, ok: bool) -> None:
        """Do what Whop does after a delivery: judge the webhook, and plan the retry."""
        if ok:
            self._health.succeed()
            return
        self._health.fail(self.clock())
        if sent.tries() <= len(RETRY_DELAYS):
            self._plan(self.clock() + RETRY_DELAYS[sent.tries() - 1].total_seconds(), Kind.RETRY, sent)

    def _since(self, at: float) -> timedelta:
        return timedelta(seconds=at - self._began)

    def _report(self) -> SimulationReport:
        disabled_at, warned_at = self._health.disabled_at, self._health.warned_at
        return SimulationReport(
            lasted=self._since(self.clock()),
            events=tuple(map(self._story, sorted(self._events, key=lambda sent: sent.happened_at))),
            receivers=tuple(receiver for receiver, _ in self._receivers),
            warned_at=None if warned_at is None else self._since(warned_at),
            disabled_at=None if disabled_at is None else self._since(disabled_at),
        )

    def _story(self, sent: _Sent) -> EventStory:
        fate = sent.fate(disabled=self._health.disabled_at is not None)
        return EventStory(sent.id, sent.type, self._since(sent.happened_at), tuple(sent.attempts), fate)
