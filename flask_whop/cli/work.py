"""``flask whop work``: runs the receivers of deliveries that are due."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import deliveries
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.errors import FlaskWhopError
from flask_whop.stores import State

_REDRAW_EVERY = 1.0


@click.command("work")
@click.option("--once", is_flag=True, help="Stop when nothing is due, for a cron job.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="How many at a time.")
@with_appcontext
def command(*, once: bool, concurrency: int) -> None:
    """Run the receivers of deliveries that are due.

    These are deliveries accepted for a worker (WHOP_DISPATCH="worker"), retries, and
    what a crashed process left behind. Run as many workers as you like, on several
    machines too. SIGTERM and Ctrl+C stop a worker once its running deliveries finish.

    \b
    Example:
      flask whop work --concurrency 8
    """  # noqa: D301  # click reads the backspace
    installation = Installation.of(current_app)
    if not installation.store.ready_at_start:
        installation.begin()
    worker = Worker(installation.app, concurrency=concurrency)
    line = _ProgressLine(worker, installation) if sys.stdout.isatty() else None
    if line is None and not once:
        click.echo(f"Working, {concurrency} at a time.")
    try:
        with _stopped_by_signals(worker):
            worker.run(once=once, idle=line.draw if line else lambda: None)
    finally:
        if line:
            line.end()
    if line is None:
        click.echo(_summary(worker))


@contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    """Stop the worker on SIGTERM and SIGINT, and restore their handlers afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # what signal calls it with
        worker.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(worker: Worker) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(worker.counts.items()))
    return f"Ran {deliveries(worker.counts.total())}{f': {counts}' if counts else ''}."


class _ProgressLine:
    """One line of the terminal, redrawn about once a second."""

    def __init__(self, worker: Worker, installation: Installation) -> None:
        self._worker = worker
        self._installation = installation
        self._drawn_at = 0.0

    def draw(self) -> None:
        if time.monotonic() - self._drawn_at < _REDRAW_EVERY:
            return
        self._drawn_at = time.monotonic()
        click.echo(f"\r\x1b[K{self._text()}", nl=False)

    def end(self) -> None:
        self._drawn_at = 0.0
        self.draw()
        click.echo()

    def _text(self) -> str:
        try:
            counts = self._installation.store.stats(self._installation.engine.endpoint).counts
        except FlaskWhopError:
            return click.style("The store can't be reached; trying again …", fg="red")
        dead = click.style(f", {counts[State.DEAD]} dead", fg="red") if counts[State.DEAD] else ""
        return f"{_summary(self._worker)} {counts[State.DUE]} due, {counts[State.RUNNING]} running{dead}"
