"""``flask whop listen``: brings the real events of a webhook to the app on this machine."""

from __future__ import annotations

import os
import select
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import as_json_line, confirm, deliveries, moment, styled, table, waiting
from flask_whop.cli.sending import NoAnswerInTime, over_http
from flask_whop.engine.installation import Installation
from flask_whop.engine.posting import Answer, Post, send
from flask_whop.errors import ApiError
from flask_whop.names import shown
from flask_whop.reconcile.follow import Follower
from flask_whop.reconcile.webhooks import api_of
from flask_whop.signals.patterns import matching
from flask_whop.signature import SignedRequest, encoded, signed

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import LoggedAttempt, Webhook

_SHORTEST = 5.0
_PAUSE = 1.0
_SUCCESS = range(200, 300)
_FORM = "{:>8}  {:>4}  {:10}  {:>5}  {:>8}  {:28}"


@click.command("listen")
@click.option("--webhook", "webhook_id", metavar="ID", help="Whose events (hook_…). Default: choose from a list.")
@click.option("--url", help="Where to deliver. Default: the local server, http://127.0.0.1:5000/webhooks/whop.")
@click.option("--only", metavar="PATTERN", help='Only events of this type, or of a pattern such as "payment.*".')
@click.option("--replay-last", type=click.IntRange(0, 1000), default=0, metavar="N", help="Deliver the last N first.")
@click.option(
    "--interval",
    type=click.FloatRange(min=_SHORTEST),
    default=_SHORTEST,
    show_default=True,
    metavar="SECONDS",
    help="How often to look; all who use the key share one limit.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "machine", is_flag=True, help="Print a line of JSON for each delivery; needs --yes.")
@with_appcontext
def command(  # noqa: PLR0913  # one for each option
    *,
    webhook_id: str | None,
    url: str | None,
    only: str | None,
    replay_last: int,
    interval: float,
    yes: bool,
    machine: bool,
) -> None:
    """Deliver a webhook's real events to the app on this machine, signed with its own secret.

    They come from Whop's delivery log, so there is no tunnel, no second webhook and no
    public address; whoever gets them now still does. Each is delivered once, a little
    after Whop has logged it. Press r to send the last one again, Ctrl+C to end.

    \b
    Example:
      flask whop listen --webhook hook_1a2b
      flask whop listen --only "payment.*" --replay-last 5
    """  # noqa: D301  # click reads the backspace
    if only is not None:
        matching(only)  # raises for a name that no event has
    installation = Installation.of(current_app)
    target = url or f"http://127.0.0.1:5000{installation.path}"
    post = over_http(target, installation.settings.host)
    with api_of(installation, waiting=waiting) as api:
        webhook = api.webhook(webhook_id) if webhook_id else _choose(list(api.webhooks()), machine=machine)
        if not machine:
            _introduce(webhook, target, interval)
        if not yes:
            confirm("Real people's data will come to this machine. Go on?", machine=machine)
        _Listener(api, webhook, post, installation.secret, only, machine=machine).run(replay_last, interval)


def _choose(webhooks: Sequence[Webhook], *, machine: bool) -> Webhook:
    if not webhooks:
        raise click.UsageError("The key's account has no webhook. `flask whop sync` creates one.")
    if len(webhooks) == 1:
        return webhooks[0]
    rows = [
        (number, hook.id, "enabled" if hook.enabled else "disabled", hook.url)
        for number, hook in enumerate(webhooks, 1)
    ]
    if not machine:
        table(("no.", "id", "state", "delivers to"), rows)
    if machine or not sys.stdin.isatty():
        raise click.UsageError("Say which of these webhooks with --webhook.")
    number = click.prompt("Listen to no.", type=click.IntRange(1, len(webhooks)))
    return webhooks[number - 1]


def _introduce(webhook: Webhook, target: str, interval: float) -> None:
    click.echo(f"{webhook.id}, which delivers to {shown(webhook.url)}")
    click.echo(f"  -> {shown(target)}")
    if not webhook.enabled:
        click.secho("  It's disabled at Whop, so nothing new will come.", fg="yellow")
    click.echo(
        f"Whop logs an event after its own attempt, and a look every {interval:g} s finds it: LATE is the sum of both."
    )


class _Listener:
    """Delivers what comes into the log, and tells how each was answered."""

    def __init__(  # noqa: PLR0913  # what it delivers, how, and how it tells of it
        self, api: WhopApi, webhook: Webhook, post: Post, secret: str, only: str | None, *, machine: bool = False
    ) -> None:
        self._follower = Follower(api, webhook.id)
        self._post = post
        self._secret = secret
        self._only = only
        self._machine = machine
        self._last: LoggedAttempt | None = None
        self._counts: Counter[bool] = Counter()

    def run(self, replay_last: int, interval: float) -> None:
        """Go on until Ctrl+C."""
        try:
            with _keys() as keys:
                before = self._follower.begin(replay_last)
                if not self._machine:
                    click.secho(_FORM.format("TIME", "CODE", "STATUS", "MS", "LATE", "EVENT"), bold=True)
                self._deliver_all(before)
                while True:
                    self._wait(interval, keys)
                    self._deliver_all(self._look())
        except KeyboardInterrupt:
            good, bad = self._counts[True], self._counts[False]
            click.echo(f"\nSent {deliveries(good + bad)}: {good} answered 2xx, {bad} otherwise.", err=self._machine)

    def _look(self) -> list[LoggedAttempt]:
        try:
            return self._follower.look()
        except ApiError as error:
            if error.status is not None and error.status in range(400, 500) and error.status not in (408, 409, 429):
                raise
            click.secho(f"{shown(error)} Going on.", fg="yellow", err=True)
            return []

    def _wait(self, interval: float, keys: bool) -> None:
        until = time.monotonic() + interval
        while (left := until - time.monotonic()) > 0:
            if not keys:
                time.sleep(left)
            elif select.select([sys.stdin], [], [], left)[0] and os.read(sys.stdin.fileno(), 1) in (b"r", b"R"):
                self._again()

    def _again(self) -> None:
        if self._last is None:
            click.echo("Nothing has been delivered yet.", err=True)
        else:
            self._deliver(self._last)

    def _deliver_all(self, attempts: Sequence[LoggedAttempt]) -> None:
        for attempt in attempts:
            if self._only is None or fnmatchcase(attempt.event_type, self._only):
                self._deliver(attempt)

    def _deliver(self, attempt: LoggedAttempt) -> None:
        self._last = attempt
        request = signed(encoded(attempt.envelope), self._secret, delivery_id=attempt.delivery_id)
        answer = self._send(request)
        good = answer.code in _SUCCESS
        self._counts[good] += 1
        now = time.time()
        seconds = None if attempt.sent_at is None else max(0.0, now - attempt.sent_at)
        if self._machine:
            as_json_line({"at": now, "type": attempt.event_type, "late": seconds, **answer._asdict()})
            return
        late = "-" if seconds is None else f"{seconds:.1f} s"
        moment_ = (moment(now) or "")[-8:]
        line = _FORM.format(
            moment_, answer.code, answer.status[:10], f"{answer.milliseconds:.0f}", late, shown(attempt.event_type)
        )
        click.echo(f"{styled(line, 'green' if good else 'red')}  {shown(attempt.delivery_id)}")

    def _send(self, request: SignedRequest) -> Answer:
        """Deliver until somebody answers: the app may be starting again."""
        told = False
        while True:
            try:
                return send(request, self._post)
            except NoAnswerInTime as error:
                click.secho(shown(error), fg="yellow", err=True)
                return Answer(request["headers"]["webhook-id"], 0, "no answer", 0.0)
            except ConnectionError as error:
                if not told:
                    click.secho(f"{shown(error)} Waiting for it.", fg="yellow", err=True)
                told = True
                time.sleep(_PAUSE)


@contextmanager
def _keys() -> Iterator[bool]:
    """Read single keys while the block runs, and yield whether that's possible here."""
    try:
        import termios  # noqa: PLC0415  # not on Windows
        import tty  # noqa: PLC0415  # likewise
    except ImportError:
        yield False
        return
    if not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
