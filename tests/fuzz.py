"""Sends an app what Whop and what strangers may send, and counts what must not happen.

    python -m tests.fuzz --requests 300000 --store memory
    python -m tests.fuzz --requests 50000 --store all
    python -m tests.fuzz --worst

Nothing forged may be found good or reach a receiver, nothing that Whop has signed may be
lost or called twice, no answer may be a 5xx, and nothing may leave the WSGI callable or
reach an error tracker. It exits with 1 if any of it happens. With ``--worst`` it measures
what the worst single unsigned request costs.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click
from flask import Flask, got_request_exception

from flask_whop import WhopWebhooks
from flask_whop.doctor.watch import DOCTOR
from flask_whop.signals import delivery_received
from flask_whop.testing import signed
from tests.attempts import Attempt, Attempts, identity
from tests.hostile import HOSTILE, hostile
from tests.shop import OTHER_SECRET, PATH, SECRET, new_app
from tests.stores import STORES, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_whop.events import AnyEvent
    from flask_whop.signature import Delivery

_SHOWN = 5


@contextmanager
def shop(store: str) -> Iterator[tuple[Flask, WhopWebhooks]]:
    """Make an app that keeps its deliveries in one of the stores."""
    with tempfile.TemporaryDirectory() as folder:
        app = new_app(folder, name="fuzzed")
        with opened(store, app) as kept:
            yield app, WhopWebhooks(app, store=kept)


# What happens, and what must not.


@dataclass
class Figures:
    """What came of some requests."""

    requests: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    forged: int = 0
    """What was found good, or reached a receiver, and had not been signed."""
    lost: int = 0
    doubled: int = 0
    failed: int = 0
    """Answers of 500 and more."""
    raised: int = 0
    """What left the WSGI callable."""
    reported: int = 0
    """What an error tracker would have been told."""
    undiagnosed: int = 0
    """Rejections whose diagnosis failed, and log lines that could not be written."""
    examples: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How often something happened that must not."""
        counts = (self.forged, self.lost, self.doubled, self.failed, self.raised, self.reported, self.undiagnosed)
        return sum(counts)

    def note(self, example: str) -> None:
        """Keep the first few of what went wrong."""
        if len(self.examples) < _SHOWN:
            self.examples.append(example[:500])


class _Log(logging.Handler):
    """Writes every line of the log to nowhere, and tells which cannot be written."""

    def __init__(self, figures: Figures) -> None:
        super().__init__()
        self._figures = figures

    def emit(self, record: logging.LogRecord) -> None:
        if "couldn't be diagnosed" in record.msg:
            self._tell(f"{record.msg} {record.exc_info}")
        try:
            self.format(record)
        except Exception as error:  # noqa: BLE001  # whatever a line of the log raises is a finding
            self._tell(f"a log line failed: {error!r}")

    def _tell(self, what: str) -> None:
        self._figures.undiagnosed += 1
        self._figures.note(what)


class Fuzz:
    """Sends requests to an app, and watches it."""

    def __init__(self, app: Flask, whop: WhopWebhooks, *, seed: int) -> None:
        self.figures = Figures()
        self._app = app
        self._client = app.test_client()
        self._attempts = Attempts(seed, uuid4().hex[:8])
        self._calls: Counter[str] = Counter()
        self._expected: set[str] = set()
        whop.on("*")(self._receive)
        delivery_received.connect(self._check, app)
        got_request_exception.connect(self._report, app)

    def _receive(self, app: Flask, event: AnyEvent) -> None:
        self._calls[event.id] += 1
        read = (event.data, event.drift, event.raw, event.resource, event.account_id, event.timestamp)
        assert all(repr(value) is not None for value in read)

    def _check(self, app: Flask, delivery: Delivery) -> None:
        if identity(delivery.id, delivery.timestamp, delivery.body) not in self._attempts.signed:
            self.figures.forged += 1
            self.figures.note(f"forged: {delivery!r}")

    def _report(self, app: Flask, exception: Exception, **_extra: object) -> None:
        self.figures.reported += 1
        self.figures.note(f"reported: {exception!r}")

    def run(self, requests: int) -> Figures:
        """Send so many requests, and count."""
        with self._watched_log():
            for _ in range(requests):
                self._send(self._attempts.make())
        figures = self.figures
        figures.delivered = len(self._calls)
        figures.lost = len(self._expected - self._calls.keys())
        figures.doubled = sum(count > 1 for count in self._calls.values())
        for lost in sorted(self._expected - self._calls.keys())[:1]:
            figures.note(f"lost: {lost}")
        return figures

    @contextmanager
    def _watched_log(self) -> Iterator[None]:
        log, handler, pace = logging.getLogger("flask_whop"), _Log(self.figures), DOCTOR.pace
        former = log.level, log.propagate
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
        log.propagate, DOCTOR.pace = False, 0.0
        self._app.logger.addHandler(logging.NullHandler())
        self._app.logger.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(former[0])
            log.propagate, DOCTOR.pace = former[1], pace

    def _send(self, attempt: Attempt) -> None:
        figures = self.figures
        figures.requests += 1
        figures.kinds[attempt.kind] += 1
        try:
            status = answer(self._app, attempt) if attempt.raw else self._post(attempt)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            figures.raised += 1
            figures.note(f"raised: {error!r} by {attempt!r}")
            return
        figures.statuses[status[:3]] += 1
        if status >= "5":
            figures.failed += 1
            figures.note(f"{status} to {attempt!r}")
        if attempt.genuine:
            self._expected.add(attempt.headers["webhook-id"])
            if status[:3] != "200":
                figures.note(f"{status} to {attempt!r}")

    def _post(self, attempt: Attempt) -> str:
        try:
            return self._client.post(PATH, data=attempt.body, headers=attempt.headers, buffered=True).status
        except ValueError as error:
            if "Header values must not contain newline" not in str(error):
                raise
            return answer(self._app, attempt)


def environ_of(attempt: Attempt) -> dict[str, Any]:
    """The WSGI environ of a request, with whatever it holds."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": PATH,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(attempt.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(attempt.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in attempt.headers.items()},
        **attempt.environ,
    }
    return {name: value for name, value in environ.items() if value is not None}


def answer(app: Flask, attempt: Attempt) -> str:
    """Let the WSGI callable answer, and return the status."""
    statuses: list[str] = []

    def start(status: str, _headers: object, _exc_info: object = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda data: None

    chunks = app(environ_of(attempt), start)
    try:
        b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return statuses[0]


def show(store: str, figures: Figures, seconds: float) -> None:
    """Print what came of it."""
    click.echo(f"{store}: {figures.requests} requests in {seconds:.0f} s, {figures.delivered} deliveries called")
    click.echo(f"  sent     {', '.join(f'{kind} {count}' for kind, count in figures.kinds.most_common())}")
    click.echo(f"  answers  {', '.join(f'{status} {count}' for status, count in sorted(figures.statuses.items()))}")
    click.echo(
        f"  forged {figures.forged}, lost {figures.lost}, doubled {figures.doubled}, 5xx {figures.failed},"
        f" raised {figures.raised}, reported {figures.reported}, log or diagnosis failed {figures.undiagnosed}"
    )
    for example in figures.examples:
        click.echo(f"    {example}")


# What the worst single request costs.


@dataclass(order=True)
class Cost:
    """What one unsigned request took, diagnosis included."""

    milliseconds: float
    peak: int
    """The most memory at a time, in bytes."""
    size: int
    kind: str


def worst(sizes: tuple[int, ...] = (4_000, 8_000, 16_000, 32_768, 65_536, 1_048_576)) -> list[Cost]:
    """Measure one unsigned request of each kind and size, with three secrets configured."""
    app = Flask("fuzzed")
    app.config.update(WHOP_WEBHOOK_SECRET=[SECRET, SECRET[::-1], "x" + SECRET[3:]], WHOP_STORE="memory://")
    WhopWebhooks(app)
    log = logging.getLogger("flask_whop")
    former, log.propagate = log.propagate, False
    log.addHandler(handler := logging.NullHandler())
    pace, DOCTOR.pace = DOCTOR.pace, 0.0
    try:
        return sorted((_cost(app, kind, size) for kind in HOSTILE for size in sizes), reverse=True)
    finally:
        log.removeHandler(handler)
        log.propagate, DOCTOR.pace = former, pace


def _cost(app: Flask, kind: str, size: int) -> Cost:
    body = hostile(kind, size)
    attempt = Attempt(kind, signed(b"{}", OTHER_SECRET)["headers"], body, raw=True)
    answer(app, attempt)
    seconds = []
    for _ in range(5):
        started = time.process_time()
        assert answer(app, attempt).startswith("401")
        seconds.append(time.process_time() - started)
    tracemalloc.start()
    try:
        answer(app, attempt)
        return Cost(min(seconds) * 1000, tracemalloc.get_traced_memory()[1], len(body), kind)
    finally:
        tracemalloc.stop()


def show_worst(costs: list[Cost]) -> None:
    """Print the ten that take longest, and the ten that take most memory for their size."""
    click.echo(f"{'ms of CPU':>10}{'KiB at a time':>15}{'KiB':>8}  the body")
    by_memory = sorted(costs, key=lambda cost: cost.peak, reverse=True)[:10]
    for cost in (*costs[:10], *by_memory):
        click.echo(f"{cost.milliseconds:10.2f}{cost.peak / 1024:15.0f}{cost.size / 1024:8.0f}  {cost.kind}")


@click.command(help=__doc__)
@click.option("--requests", default=10_000, show_default=True, help="How many to send to each store.")
@click.option("--store", type=click.Choice([*STORES, "all"]), default="memory", show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--worst", "only_worst", is_flag=True, help="Measure the worst single unsigned request instead.")
def main(*, requests: int, store: str, seed: int, only_worst: bool) -> None:
    """Fuzz, print the figures, and exit with 1 if there is a fault."""
    if only_worst:
        show_worst(worst())
        return
    faults = 0
    for name in STORES if store == "all" else (store,):
        with shop(name) as (app, whop):
            started = time.perf_counter()
            figures = Fuzz(app, whop, seed=seed).run(requests)
        show(name, figures, time.perf_counter() - started)
        faults += figures.faults
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
