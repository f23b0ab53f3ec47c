"""``flask whop work``: runs the receivers of what is due."""

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

from flask_whop.cli.output import fault
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.errors import FlaskWhopError
from flask_whop.stores import State, Stats

_LINE_EVERY = 1.0


@click.command("work")
@click.option("--once", is_flag=True, help="Stop when nothing is due, for a cron job.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="How many at a time.")
@with_appcontext
def command(*, once: bool, concurrency: int) -> None:
    """Run the receivers of what is due.

    It runs what was accepted for a worker (WHOP_DISPATCH="worker"), what has to be
    tried again, and what a process has left that died. As many workers as you like may
    run, on several machines too. SIGTERM and Ctrl+C stop it when what runs is done.

    \b
    Example:
      flask whop work --concurrency 8
    """  # noqa: D301  # click reads the backspace
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  # documented by Werkzeug
    installation = Installation.of(app)
    if not installation.store.ready_at_start:
        installation.warn_of_others()
    worker = Worker(app, concurrency=concurrency)
    line = _ProgressLine(worker) if sys.stdout.isatty() else None
    if line is None and not once:
        click.echo(f"Working, {concurrency} at a time.")
    try:
        with _stopped_by_signals(worker):
            worker.run(once=once, idle=line.draw if line else lambda: None)
    except FlaskWhopError as error:
        raise fault(error) from None
    finally:
        if line:
            line.end()
    if line is None:
        click.echo(_sum(worker))


@contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    """Stop the worker on SIGTERM and SIGINT, which are handled as before afterwards."""
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


def _sum(worker: Worker) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(worker.counts.items()))
    total = worker.counts.total()
    deliveries = "1 delivery" if total == 1 else f"{total} deliveries"
    return f"Ran {deliveries}{f': {counts}' if counts else ''}."


class _ProgressLine:
    """One line of the terminal, drawn anew about once a second."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._drawn_at = 0.0

    def draw(self) -> None:
        if time.monotonic() - self._drawn_at < _LINE_EVERY:
            return
        self._drawn_at = time.monotonic()
        click.echo(f"\r\x1b[K{self._text()}", nl=False)

    def _text(self) -> str:
        installation = Installation.of(current_app)
        try:
            stats = installation.store.stats(installation.engine.endpoint)
        except FlaskWhopError:
            return click.style("The store cannot be reached; trying again …", fg="red")
        return f"{_sum(self._worker)} {_waiting(stats)}"

    def end(self) -> None:
        self._drawn_at = 0.0
        self.draw()
        click.echo()


def _waiting(stats: Stats) -> str:
    due, running, dead = (stats.counts[state] for state in (State.DUE, State.RUNNING, State.DEAD))
    text = f"{due} due, {running} running"
    return text + (click.style(f", {dead} dead", fg="red") if dead else "")
