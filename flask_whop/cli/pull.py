"""``flask whop pull``: fetches what was missed from Whop's delivery log."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import Duration, as_json, deliveries, moment, stdout_kept_clean, table, waiting
from flask_whop.engine.installation import Installation
from flask_whop.engine.retries import DAY
from flask_whop.grammar import counted
from flask_whop.names import shown
from flask_whop.reconcile.backlog import Missed, Span
from flask_whop.reconcile.plan import events_with_receivers
from flask_whop.reconcile.pull import LOG_DAYS, TAKEN, Pull, span_of
from flask_whop.reconcile.rebuild import sources_of
from flask_whop.reconcile.webhooks import api_of, chosen

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import LoggedAttempt, Webhook

_ASK_FROM = 2
_LISTED = 20
_DONE = ("processed", "unhandled", "duplicate", "accepted", "redelivered", TAKEN, "rejected: foreign_account")
_LISTED_ONLY = "missed"
_STEPS = 1000


@click.command("pull")
@click.option("--since", type=Duration(), help="How far back: 90s, 30m, 2h, 7d. Default: since the last pull, or 3d.")
@click.option("--webhook", "webhook_ids", multiple=True, metavar="ID", help="Pull this webhook's log; may be repeated.")
@click.option("--url", help="Pull the webhooks that deliver here. Default: WHOP_PUBLIC_URL.")
@click.option("--redeliver", is_flag=True, help="Have Whop send them again, signed, instead of running them here.")
@click.option("--force", is_flag=True, help="Also run what failed before this store began to remember.")
@click.option("--all", "everything", is_flag=True, help="With --force: even what Whop had delivered by then.")
@click.option("--dry-run", is_flag=True, help="List what was missed, and run nothing.")
@click.option("--yes", is_flag=True, help="Don't ask, however many there are.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts; needs --yes or --dry-run.")
@with_appcontext
def command(  # noqa: PLR0913  # one for each option
    *,
    since: float | None,
    webhook_ids: Sequence[str],
    url: str | None,
    redeliver: bool,
    force: bool,
    everything: bool,
    dry_run: bool,
    yes: bool,
    machine: bool,
) -> None:
    """Fetch what was missed from Whop's delivery log, and run it as if it had arrived.

    Only what never arrived, or isn't finished, is run; each receiver runs once, as ever.
    The log vouches for a body instead of a signature: its values are those that were
    sent, its bytes aren't those that were signed. Stop it as you like, and run it again.

    \b
    Example:
      flask whop pull --since 2h --dry-run
      flask whop pull --webhook hook_1a2b --since 7d
    """  # noqa: D301  # click reads the backspace
    if everything and not force:
        raise click.UsageError("--all goes with --force.")
    if machine and not (yes or dry_run):
        raise click.UsageError("--json can't ask: pass --yes or --dry-run.")
    installation = Installation.of(current_app)
    how = _How(redeliver, dry_run=dry_run, ask=not yes, machine=machine)
    pullers: list[_Puller] = []
    with api_of(installation, waiting=waiting) as api:
        for webhook in chosen(installation, api, webhook_ids, url):
            start = None if since is None else installation.store.clock() - since
            span = span_of(installation, webhook, start, forced=force, all=everything)
            pullers.append(_Puller(installation, api, webhook, span, how))
            with stdout_kept_clean(machine):
                pullers[-1].go()
            if not machine:
                _tell_limits(installation, webhook, span)
    if machine:
        as_json([puller.report() for puller in pullers])
    if not all(puller.finished for puller in pullers):
        raise SystemExit(1)


class _How:
    """What to do with what was missed."""

    def __init__(self, redeliver: bool, *, dry_run: bool, ask: bool, machine: bool) -> None:
        self.redeliver = redeliver
        self.dry_run = dry_run
        self.ask = ask
        self.machine = machine


class _Puller:
    """Pulls the log of one webhook, and shows how it goes."""

    def __init__(self, installation: Installation, api: WhopApi, webhook: Webhook, span: Span, how: _How) -> None:
        self._installation = installation
        self._api = api
        self._span = span
        self._how = how
        self._now = installation.store.clock()
        self._show_read: Callable[[int], object] = _show_nothing
        self._read = 0
        self._pull = Pull(installation, api, webhook, span, progress=self._advance)
        self._results: list[tuple[Missed, str]] = []
        self._due: Counter[str] = Counter()

    def go(self) -> None:
        parts = self._pull.missed()
        while (part := self._next(parts)) is not None:
            self._results += [(_without_body(missed), result) for missed, result in self._deal_with(part)]
        self._wait_for_others()
        if not self._how.dry_run and not self._how.redeliver:
            self._pull.finish(Counter(result for _, result in self._results), began=self._now)
            self._due = Counter(self._pull.run_due())
        if not self._how.machine:
            self._sum_up()

    @property
    def finished(self) -> bool:
        """Whether all that was run has ended well."""
        results = (*(result for _, result in self._results), *self._due)
        return all(result in (*_DONE, _LISTED_ONLY) for result in results)

    def _wait_for_others(self) -> None:
        """Run what another process held, which may have died with it, once its lease must have ended."""
        held = [missed for missed, result in self._results if result == TAKEN]
        if not held:
            return
        lease = self._installation.engine.leases.lease
        if not self._how.machine:
            click.echo(f"Waiting up to {lease:.0f} s for {deliveries(len(held))} that another process holds.", err=True)
        time.sleep(lease)
        again = {missed.id: self._pull.run(missed._replace(body=None)) for missed in held}
        self._results = [(missed, again.get(missed.id, result)) for missed, result in self._results]

    def _next(self, parts: Iterator[list[Missed]]) -> list[Missed] | None:
        with self._progress("Reading the log", _STEPS) as self._show_read:
            part = next(parts, None)
            self._show_read(_STEPS - self._read)
            return part

    def _advance(self, attempt: LoggedAttempt) -> None:
        """Show how far back the log has been read, as a share of the time asked for."""
        if attempt.sent_at is None:
            return
        share = (self._now - attempt.sent_at) / max(1.0, self._now - self._span.since)
        step = max(0, min(_STEPS, int(share * _STEPS)) - self._read)
        self._read += step
        self._show_read(step)

    def _deal_with(self, part: list[Missed]) -> Iterator[tuple[Missed, str]]:
        if not part:
            return
        if self._how.dry_run:
            yield from ((missed, _LISTED_ONLY) for missed in part)
            return
        older = sum(missed.first_at < self._span.remembered and missed.body is not None for missed in part)
        if self._how.ask and (len(part) >= _ASK_FROM or older):
            _show(part)
            those = "1 is" if older == 1 else f"{older} are"
            warning = f" {those} from before this store remembers, and may have run." if older else ""
            verb = "Redeliver" if self._how.redeliver else "Run"
            click.confirm(f"{verb} {deliveries(len(part))}?{warning}", abort=True)
        with self._progress("Running", len(part)) as advance:
            for missed in part:
                yield missed, self._deal_with_one(missed)
                advance(1)

    def _deal_with_one(self, missed: Missed) -> str:
        if not self._how.redeliver:
            return self._pull.run(missed)
        if missed.attempt_id is None:
            return "the log has no id for its attempt"
        status, success = self._api.redeliver(self._pull.webhook.id, missed.attempt_id)
        return "redelivered" if success else f"answered {status or 'nothing'}"

    @contextmanager
    def _progress(self, label: str, length: int) -> Iterator[Callable[[int], object]]:
        """Show a bar while the block runs, and yield what moves it on."""
        if self._how.machine:
            yield _show_nothing
            return
        with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
            yield bar.update

    def _sum_up(self) -> None:
        seen, hook = self._pull.seen, self._pull.webhook
        click.echo(
            f"{hook.id}: {counted(seen.attempts, 'attempt')} since {moment(self._span.since)} UTC,"
            f" {deliveries(seen.known)} known."
        )
        if self._how.dry_run and self._results:
            _show([missed for missed, _ in self._results])
        counts = Counter(result for _, result in self._results)
        click.echo(f"{_counted(counts) or 'Nothing was missed'}.")
        if self._due:
            click.echo(f"Run again, since they were due: {_counted(self._due)}.")
        unfinished = [(result, missed.id) for missed, result in self._results if result not in (*_DONE, _LISTED_ONLY)]
        if unfinished:
            table(("what", "id"), unfinished)
        if seen.too_old:
            click.echo(
                f"{deliveries(seen.too_old)} from before {moment(self._span.remembered)} UTC left alone: this store"
                " doesn't remember what ran then. --force runs those that failed.",
                err=True,
            )
        if seen.delivered_before:
            click.echo(
                f"{deliveries(seen.delivered_before)} left alone that Whop had delivered before then; --all runs them.",
                err=True,
            )
        if seen.unusable:
            click.echo(f"Without a usable id, and not run: {', '.join(map(shown, seen.unusable[:_LISTED]))}.", err=True)

    def report(self) -> dict[str, object]:
        seen = self._pull.seen
        return {
            "webhook": self._pull.webhook.id,
            "since": self._span.since,
            "remembered": self._span.remembered,
            "attempts": seen.attempts,
            "known": seen.known,
            "too_old": seen.too_old,
            "delivered_before": seen.delivered_before,
            "unusable": seen.unusable,
            "due": dict(self._due),
            "missed": [
                {
                    "id": missed.id,
                    "type": missed.event_type,
                    "sent_at": missed.sent_at,
                    "answered": missed.answered or None,
                    "what": result,
                }
                for missed, result in self._results
            ],
        }


def _show_nothing(_steps: int) -> None:
    """Stand in for a progress bar."""


def _without_body(missed: Missed) -> Missed:
    return missed if missed.body is None else missed._replace(body=b"")


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {shown(result)}" for result, count in sorted(counts.items()))


def _show(part: Sequence[Missed]) -> None:
    rows = [
        (missed.id, missed.event_type, moment(missed.sent_at), missed.answered or None, _kind(missed))
        for missed in part[:_LISTED]
    ]
    table(("id", "type", "last sent (UTC)", "answered", "here"), rows)
    if len(part) > _LISTED:
        click.echo(f"… and {len(part) - _LISTED} more.")


def _kind(missed: Missed) -> str:
    if missed.body is None:
        return "unfinished"
    return "never arrived, though Whop got an answer" if missed.delivered else "never arrived"


def _tell_limits(installation: Installation, webhook: Webhook, span: Span) -> None:
    """Say what the log can't know."""
    beyond = span.since < time.time() - LOG_DAYS * DAY
    if beyond:
        click.echo(f"Whop's log goes back {LOG_DAYS} days; what is older is in no log.", err=True)
    if not webhook.enabled:
        click.echo(f"{webhook.id} is disabled: what happens until it's enabled again is in no log.", err=True)
    if beyond or not webhook.enabled:
        sources = sources_of(events_with_receivers(installation.app))
        rows = [
            (family, source.call, "updated_at" if source.has_updated_at else None, source.permissions)
            for family, source in sources.items()
        ]
        click.echo("These lists have the present state of what was missed:", err=True)
        table(("family", "list", "compare by", "permissions"), rows)
