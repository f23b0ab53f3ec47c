"""``flask whop doctor``: checks an app before it goes live, or says why a request fails."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from shutil import get_terminal_size
from typing import TYPE_CHECKING, BinaryIO

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import as_json as print_json
from flask_whop.cli.output import stdout_kept_clean
from flask_whop.doctor.checkup import check_app
from flask_whop.doctor.checkup.captures import read_capture
from flask_whop.doctor.checkup.online import check_online
from flask_whop.doctor.checkup.receivers import receivers_by_event
from flask_whop.doctor.finding import Check, Finding, Level
from flask_whop.doctor.watch import Captured, examine
from flask_whop.engine.installation import Installation
from flask_whop.errors import Rejected
from flask_whop.grammar import counted
from flask_whop.names import shown
from flask_whop.signature import Verifier

if TYPE_CHECKING:
    from flask import Flask

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: "cyan"}
_WIDEST = 100
_NARROWEST = 20
_MARGIN = 22
_EVENTS_SHOWN = 3
_LONGEST = 4000


@click.command("doctor")
@click.option(
    "--request",
    "captured",
    type=click.File("rb"),
    metavar="FILE",
    help="Say why this request fails: its headers, an empty line, and its body, as captured; - for stdin.",
)
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="With --request: when it arrived, in unix seconds; the default is now.",
)
@click.option("--online", is_flag=True, help="Also read the app's webhooks back from Whop's API.")
@click.option("--url", help="With --online: the app's public address. Default: WHOP_PUBLIC_URL.")
@click.option("--webhook", "webhook_id", metavar="ID", help="With --online: read this webhook back (hook_…).")
@click.option("--test", metavar="EVENT", help="With --online: have Whop send a test delivery of this event.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@with_appcontext
def command(  # noqa: PLR0913  # one for each option
    *,
    captured: BinaryIO | None,
    at: int | None,
    online: bool,
    url: str | None,
    webhook_id: str | None,
    test: str | None,
    as_json: bool,
) -> None:
    """Check the app before it goes live, or say why a request fails.

    It sends signed requests through the app's own WSGI stack, writes to its store, and
    checks its secret, receivers and clock. None of your receivers is called, and nothing
    stays in the store. It exits with 1 if there is an error.

    \b
    Examples:
      flask whop doctor
      flask whop doctor --json
      flask whop doctor --online --test payment.succeeded
      flask whop doctor --request captured.txt
    """  # noqa: D301  # click reads the backspace
    app = Installation.of(current_app).app
    if at is not None and captured is None:
        raise click.UsageError("--at goes with --request FILE.")
    if (url or webhook_id or test) and not online:
        raise click.UsageError("--url, --webhook and --test go with --online.")
    if captured is not None:
        sys.exit(0 if _explain(app, captured, at, as_json=as_json) else 1)
    with stdout_kept_clean(as_json):  # the app's hooks run
        checks = check_app(app)
        if online:
            checks.append(check_online(Installation.of(app), url=url, webhook_id=webhook_id, test=test))
    sys.exit(0 if _report(app, checks, as_json=as_json) else 1)


def _report(app: Flask, checks: Sequence[Check], *, as_json: bool) -> bool:
    findings = [finding for check in checks for finding in check.findings]
    good = not any(finding.level is Level.ERROR for finding in findings)
    if as_json:
        report = {
            "ok": good,
            "app": app.name,
            "checks": [{**asdict(check), "level": check.level.value if check.level else "ok"} for check in checks],
            "receivers": receivers_by_event(app),
        }
        print_json(report)
        return good
    click.echo(f"{shown(app.name)}, at {Installation.of(app).path}:\n")
    for check in checks:
        click.echo(_line(check))
        if check.name == "receivers":
            _show_receivers(receivers_by_event(app))
    for finding in findings:
        _show(finding)
    click.echo(f"\n{_sum(findings)}")
    return good


def _line(check: Check) -> str:
    level = check.level
    word = click.style(f"{level.value if level else 'ok':9}", fg=_COLOURS[level] if level else "green")
    return f"  {word}{check.name:11}{_beside(shown(check.summary))}"


def _show_receivers(by_event: Mapping[str, Sequence[str]]) -> None:
    """Show which receivers take which events, those with the same receivers together."""
    together: dict[tuple[str, ...], list[str]] = {}
    for event, names in by_event.items():
        together.setdefault(tuple(names), []).append("unknown events" if event == "*" else event)
    for names, events in together.items():
        more = f" and {len(events) - _EVENTS_SHOWN} more" if len(events) > _EVENTS_SHOWN else ""
        listed = f"{', '.join(events[:_EVENTS_SHOWN])}{more}: {shown(', '.join(names))}"
        click.echo(f"{'':{_MARGIN}}{_beside(listed)}")


def _show(finding: Finding) -> None:
    click.echo()
    click.secho(f"{finding.level.value} {finding.id}", fg=_COLOURS[finding.level], bold=True)
    _show_texts(finding)


def _show_texts(finding: Finding) -> None:
    for label, text in (("what", finding.what), ("why", finding.why), ("fix", finding.fix)):
        click.echo(_wrapped(f"  {label:6}{shown(text, _LONGEST)}"))


def _beside(text: str) -> str:
    """Wrap ``text`` beside the names of the checks."""
    return _wrapped(f"{'':{_MARGIN}}{text}", _MARGIN, _MARGIN).lstrip()


def _wrapped(text: str, first: int = 2, rest: int = 8) -> str:
    """Wrap ``text`` at the width of a terminal; one line is easier to search when it is piped."""
    if not sys.stdout.isatty():
        return text
    width = max(min(get_terminal_size().columns, _WIDEST), rest + _NARROWEST)
    return click.wrap_text(text.strip(), width, initial_indent=" " * first, subsequent_indent=" " * rest)


def _sum(findings: Sequence[Finding]) -> str:
    if not findings:
        return click.style("Nothing is wrong.", fg="green")
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return ", ".join(
        click.style(counted(count, level.value), fg=_COLOURS[level]) for level, count in counts.items() if count
    )


def _explain(app: Flask, file: BinaryIO, at: int | None, *, as_json: bool) -> bool:
    captured = read_capture(file.read())
    installation = Installation.of(app)
    now = installation.verifier.clock() if at is None else float(at)
    settings = installation.settings
    verifier = Verifier(
        settings.secrets, tolerance=settings.tolerance, clock=lambda: now, legacy=settings.legacy_webhooks
    )
    try:
        verifier.verify(captured.headers, captured.body)
    except Rejected as rejection:
        _show_why(app, captured, rejection, now, as_json=as_json)
        return False
    if as_json:
        print_json({"ok": True, "reason": None, "diagnosis": None})
    else:
        click.secho("The signature is good: this request is verified.", fg="green")
    return True


def _show_why(app: Flask, captured: Captured, rejection: Rejected, now: float, *, as_json: bool) -> None:
    finding = examine(app, captured, now=now)
    reason = rejection.reason
    if as_json:
        print_json({"ok": False, "reason": reason.value, "diagnosis": asdict(finding) if finding else None})
        return
    click.echo(f"Rejected: {click.style(reason.value, fg='red', bold=True)}")
    if finding is None:
        click.echo(_wrapped(f"  {reason.advice[0].upper()}{reason.advice[1:]}."))
        click.echo(_wrapped(f"  {_NO_MISTAKE}"))
        return
    click.echo(f"Mistake:  {click.style(finding.id, bold=True)}")
    _show_texts(finding)
    if finding.id == "clock_fast":
        click.echo(_wrapped(f"  {_GROWN_OLD}"))


_NO_MISTAKE = (
    "No known mistake explains it: it's forged, or signed with a secret that isn't configured here, such as another"
    " webhook's."
)
_GROWN_OLD = (
    "A captured request ages. If it was recent when it arrived, say when that was: --at and the time in unix seconds."
)
