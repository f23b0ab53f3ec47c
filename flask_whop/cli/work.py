"""``flask whop work``: runs the receivers of deliveries that are due."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import Duration, as_json, deliveries, stdout_kept_clean
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.errors import FlaskWhopError
from flask_whop.reconcile.schedule import PullEvery
from flask_whop.reconcile.webhooks import api_of
from flask_whop.stores import State

_REDRAW_EVERY = 1.0


@click.command("work")
@click.option("--once", is_flag=True, help="Stop when nothing is due, for a cron job.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="How many at a time.")
@click.option(
    "--pull-every",
    type=Duration(),
    metavar="DURATION",
    help="Also pull what was missed from Whop's delivery log, at the start and then this often: 10m.",
)
@click.option("--webhook", "webhook_ids", multiple=True, metavar="ID", help="With --pull-every: this webhook's log.")
@click.option("--json", "machine", is_flag=True, help="Print JSON at the end, for scripts.")
@with_appcontext
def command(
    *, once: bool, concurrency: int, pull_every: float | None, webhook_ids: Sequence[str], machine: bool
) -> None:
    """Run the receivers of deliveries that are due.

    These are deliveries accepted for a worker (WHOP_DISPATCH="worker"), retries, and
    what a crashed process left behind. Run as many workers as you like, on several
    machines too. SIGTERM and Ctrl+C stop a worker once its running deliveries finish.

    With --pull-every, what never arrived is fetched from Whop's delivery log and run as
    well; see `flask whop pull`.

    \b
    Example:
      flask whop work --concurrency 8 --pull-every 10m
    """  # noqa: D301  # click reads the backspace
    installation = Installation.of(current_app)
    if not installation.store.ready_at_start:
        installation.begin()
    if pull_every is not None and once:
        raise click.UsageError("--pull-every goes on for ever, and --once ends; for a cron job run flask whop pull.")
    if pull_every is not None:
        with api_of(installation):
            pass  # it raises now if the settings lack something
    worker = Worker(installation.app, concurrency=concurrency)
    pull = PullEvery(installation.app, pull_every, webhook_ids) if pull_every is not None else None
    line = _ProgressLine(worker, installation, pull) if sys.stdout.isatty() and not machine else None
    if line is None and not once:
        click.echo(f"Working, {concurrency} at a time.", err=machine)
    try:
        with stdout_kept_clean(machine), _stopped_by_signals(worker), pull or nullcontext():
            worker.run(once=once, idle=line.draw if line else lambda: None)
    finally:
        if line:
            line.end()
    if machine:
        counts = {status: worker.counts[status] for status in sorted(worker.counts)}
        as_json({"ran": worker.counts.total(), "counts": counts, "pulled": pull and pull.pulled})
    elif line is None:
        click.echo(_summary(worker, pull))


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


def _summary(worker: Worker, pull: PullEvery | None) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(worker.counts.items()))
    pulled = "" if pull is None else f" Pulled {deliveries(pull.pulled)}."
    return f"Ran {deliveries(worker.counts.total())}{f': {counts}' if counts else ''}.{pulled}"


class _ProgressLine:
    """One line of the terminal, redrawn about once a second."""

    def __init__(self, worker: Worker, installation: Installation, pull: PullEvery | None) -> None:
        self._worker = worker
        self._pull = pull
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
        return f"{_summary(self._worker, self._pull)} {counts[State.DUE]} due, {counts[State.RUNNING]} running{dead}"
