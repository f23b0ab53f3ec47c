"""``flask whop deliveries``: what came, what became of it, and what to run again."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.durations import Duration, moment
from flask_whop.cli.output import as_json, fault, printable_json, styled, table
from flask_whop.engine.installation import Installation
from flask_whop.errors import FlaskWhopError, StoreUnavailable
from flask_whop.names import shown
from flask_whop.stores import Filter, Key, Receipt, ReceiptState, State, Stored

_COLUMNS = ("id", "state", "tries", "type", "received (UTC)", "account")
_ASK_FROM = 2
_MOST_REPLAYED = 100_000
_COLOURS = {State.DONE: "green", State.FAILED: "yellow", State.DUE: "yellow", State.DEAD: "red", State.RUNNING: "cyan"}


@click.group("deliveries", invoke_without_command=True)
@click.option(
    *("--state", "states"),
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only those in this state; may be given several times.",
)
@click.option("--type", "event_type", help='Only events of this type, or of a pattern such as "payment.*".')
@click.option("--account", help="Only events of this account (biz_…).")
@click.option("--since", type=Duration(), help="Only those that came since: 90s, 30m, 2h, 7d.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many at most.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for a script.")
@click.pass_context
@with_appcontext
def command(  # noqa: PLR0913  # one for each option
    context: click.Context,
    *,
    states: Sequence[str],
    event_type: str | None,
    account: str | None,
    since: float | None,
    limit: int,
    machine: bool,
) -> None:
    """List deliveries, the latest first; show one, or replay some.

    \b
    Example:
      flask whop deliveries --state dead --since 2d
      flask whop deliveries show msg_2f7Kq
      flask whop deliveries replay --failed --since 2h
    """  # noqa: D301  # click reads the backspace
    if context.invoked_subcommand is not None:
        return
    wanted = _wanted([State(state) for state in states], event_type, account, since)
    found = _find(wanted, limit)
    if machine:
        as_json([_plain(one) for one in found])
    elif not found:
        click.echo("There are no such deliveries.")
    else:
        table(_COLUMNS, [_row(one) for one in found])
        if len(found) == limit:
            click.echo(f"These are the latest {limit}; --limit shows more.", err=True)


@command.command("show")
@click.argument("delivery_id", metavar="ID")
@click.option(
    "--body", is_flag=True, help="Print the body as Whop signed it, and nothing else. It may be personal data."
)
@click.option("--json", "machine", is_flag=True, help="Print JSON, for a script.")
@with_appcontext
def show(delivery_id: str, *, body: bool, machine: bool) -> None:
    """Show one delivery with the receipts of its receivers.

    \b
    Example:
      flask whop deliveries show msg_2f7Kq
      flask whop deliveries show msg_2f7Kq --body | jq .data
    """  # noqa: D301  # click reads the backspace
    delivery, receipts = _look_up(delivery_id)
    if body:
        if delivery.body is None:
            raise fault("Its body was dropped when it was done: WHOP_KEEP_PAYLOADS is False, or it is kept in memory.")
        click.echo(printable_json(delivery.body.decode()) if sys.stdout.isatty() else delivery.body, nl=False)
    elif machine:
        as_json(_plain(delivery) | {"receipts": [receipt._asdict() for receipt in receipts]})
    else:
        _describe(delivery, receipts)


@command.command("replay")
@click.argument("delivery_ids", metavar="[ID]...", nargs=-1)
@click.option("--failed", is_flag=True, help="Replay all that are failed or dead.")
@click.option("--type", "event_type", help="With --failed: only events of this type or pattern.")
@click.option("--account", help="With --failed: only events of this account (biz_…).")
@click.option("--since", type=Duration(), help="With --failed: only those that came since: 90s, 30m, 2h, 7d.")
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, however many there are.")
@with_appcontext
def replay(  # noqa: PLR0913  # one for each option
    delivery_ids: Sequence[str],
    *,
    failed: bool,
    event_type: str | None,
    account: str | None,
    since: float | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Run deliveries again, here and now, for the receivers that are not done with them.

    What a receiver has finished is not repeated. One that fails again is retried by
    us from then on, as if it had just come.

    \b
    Example:
      flask whop deliveries replay msg_2f7Kq
      flask whop deliveries replay --failed --since 2h --dry-run
    """  # noqa: D301  # click reads the backspace
    if bool(delivery_ids) == failed:
        raise click.UsageError("Name the deliveries to replay, or say --failed for all that are failed or dead.")
    if failed:
        wanted = _wanted([State.FAILED, State.DEAD], event_type, account, since)
        chosen = list(reversed(_find(wanted, _MOST_REPLAYED)))
    else:
        chosen = [_look_up(delivery_id)[0] for delivery_id in delivery_ids]
    if not chosen:
        click.echo("There is nothing to replay.")
        return
    if dry_run:
        table(_COLUMNS, [_row(one) for one in chosen])
        click.echo(f"{_number(len(chosen))} would be replayed.", err=True)
        return
    if len(chosen) >= _ASK_FROM and not yes:
        click.confirm(f"Replay {_number(len(chosen))}?", abort=True)
    _replay([one.key for one in chosen])


@command.command("drop")
@click.argument("receiver", metavar="NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def drop(receiver: str, *, yes: bool) -> None:
    """Wait no longer for the receiver of this NAME, which is gone for good.

    A delivery that was accepted for a receiver which no process has any more stays due,
    and is a dead letter in the end. The other receivers have their turn as before. What
    is dead already is replayed for those that are left.

    \b
    Example:
      flask whop deliveries drop shop:fulfil
    """  # noqa: D301  # click reads the backspace
    wanted = _wanted([State.DUE, State.DEAD], None, None, None)
    waiting = [one for one in _find(wanted, _MOST_REPLAYED) if receiver in one.receivers]
    if not waiting:
        click.echo(f"No delivery waits for a receiver called {shown(receiver)}.")
        return
    if not yes:
        click.confirm(f"Drop {shown(receiver)} from {_number(len(waiting))}?", abort=True)
    installation = Installation.of(current_app)
    try:
        dead = [one.key for one in waiting if one.state is State.DEAD]
        dropped = [installation.engine.drop(one.key, receiver) for one in waiting if one.state is State.DUE]
        dropped += [installation.store.replay(key) and installation.engine.drop(key, receiver) for key in dead]
    except FlaskWhopError as error:
        raise fault(error) from None
    click.echo(f"Dropped {shown(receiver)} from {_number(sum(dropped))}; they are due now, for a worker.")


def _replay(keys: Sequence[Key]) -> None:
    outcomes: dict[str, str] = {}
    with click.progressbar(keys, label="Replaying", file=sys.stderr) as progress:
        for key in progress:
            outcomes[key.id] = _replay_one(key)
    unfinished = {name: what for name, what in outcomes.items() if what not in ("processed", "unhandled", "duplicate")}
    click.echo(f"{len(keys) - len(unfinished)} of {_number(len(keys))} finished.")
    if unfinished:
        table(("what", "id"), [(what, name) for name, what in unfinished.items()])
        raise SystemExit(1)


def _replay_one(key: Key) -> str:
    installation = Installation.of(current_app)
    try:
        if not installation.store.replay(key):
            return "not replayable: it runs at this moment, or its body is gone"
        outcome = installation.engine.run(key, early=True)
    except StoreUnavailable as error:
        raise fault(error) from None
    except FlaskWhopError as error:
        return str(error)
    return "taken by a worker" if outcome is None else outcome.status.value


def _wanted(states: Sequence[State], event_type: str | None, account: str | None, since: float | None) -> Filter:
    clock = Installation.of(current_app).store.clock
    return Filter(states, event_type, account, None if since is None else clock() - since)


def _find(wanted: Filter, limit: int) -> Sequence[Stored]:
    installation = Installation.of(current_app)
    try:
        return installation.store.find(installation.engine.endpoint, wanted, limit)
    except StoreUnavailable as error:
        raise fault(error) from None


def _look_up(delivery_id: str) -> tuple[Stored, Sequence[Receipt]]:
    installation = Installation.of(current_app)
    key = Key(installation.engine.endpoint, delivery_id)
    try:
        found = installation.store.get(key)
        receipts = installation.store.receipts(key) if found else ()
    except StoreUnavailable as error:
        raise fault(error) from None
    if found is None:
        raise fault(f"There is no delivery {delivery_id}. `flask whop deliveries` lists those there are.")
    return found, receipts


def _row(one: Stored) -> tuple[object, ...]:
    return one.key.id, one.state.value, one.attempts, one.event_type, moment(one.received_at), one.account_id


def _describe(delivery: Stored, receipts: Sequence[Receipt]) -> None:
    state = styled(delivery.state.value, _COLOURS[delivery.state])
    click.echo(f"{shown(delivery.key.id)}  {shown(delivery.event_type)}  {state}")
    click.echo(f"  account   {shown(delivery.account_id or '-')}")
    click.echo(f"  received  {moment(delivery.received_at)} UTC, tried {delivery.attempts} times")
    click.echo(f"  retry     {_whose(delivery)}")
    if not receipts:
        click.echo("  No receiver has been called with it.")
    for receipt in receipts:
        click.echo(f"\n  {shown(receipt.receiver)}  {_RECEIPTS.get(receipt.state, receipt.state.value)}")
        click.echo(f"    called {receipt.attempts} times, last at {moment(receipt.last_at)} UTC")
        if receipt.due_at is not None:
            click.echo(f"    due at {moment(receipt.due_at)} UTC")
        for line in (receipt.error or "").splitlines():
            click.echo(f"    | {shown(line)}")


_RECEIPTS = {ReceiptState.STARTED: "started, and has not ended"}


def _whose(delivery: Stored) -> str:
    if delivery.state is State.DUE:
        return f"ours, due at {moment(delivery.due_at)} UTC"
    if delivery.state is State.FAILED:
        return "Whop's"
    return "none" if delivery.state is State.DONE else "ours" if delivery.owned else "Whop's"


def _plain(one: Stored) -> dict[str, object]:
    plain: dict[str, object] = {"id": one.key.id, "endpoint": one.key.endpoint, **one._asdict()}
    del plain["key"], plain["body"]
    return plain


def _number(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count} deliveries"
