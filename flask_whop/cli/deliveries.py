"""``flask whop deliveries``: what came, what became of it, and what to run again."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import Duration, as_json, deliveries, fault, moment, printable_json, styled, table, times
from flask_whop.engine.installation import Installation
from flask_whop.errors import FlaskWhopError, NotReplayable, StoreUnavailable
from flask_whop.names import shown
from flask_whop.stores import Filter, Key, Origin, Receipt, ReceiptState, State, Stored

_COLUMNS = ("id", "state", "tries", "type", "received (UTC)", "account")
_ASK_FROM = 2
_MOST_REPLAYED = 100_000
_COLORS = {State.DONE: "green", State.FAILED: "yellow", State.DUE: "yellow", State.DEAD: "red", State.RUNNING: "cyan"}
_FINISHED = ("processed", "unhandled", "duplicate")


@click.group("deliveries", invoke_without_command=True)
@click.option(
    *("--state", "states"),
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only those in this state; may be repeated.",
)
@click.option("--type", "event_type", help='Only events of this type, or of a pattern such as "payment.*".')
@click.option("--account", help="Only events of this account (biz_…).")
@click.option("--since", type=Duration(), help="Only those received within this time: 90s, 30m, 2h, 7d.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many at most.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts.")
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
    stored = _find(_filter([State(state) for state in states], event_type, account, since), limit)
    if machine:
        as_json([_plain(delivery) for delivery in stored])
    elif not stored:
        click.echo("There are no such deliveries.")
    else:
        table(_COLUMNS, [_row(delivery) for delivery in stored])
        if len(stored) == limit:
            click.echo(f"These are the latest {limit}; --limit shows more.", err=True)


@command.command("show")
@click.argument("delivery_id", metavar="ID")
@click.option("--body", is_flag=True, help="Print only the body, as Whop signed it. It may contain personal data.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts.")
@with_appcontext
def show(delivery_id: str, *, body: bool, machine: bool) -> None:
    """Show one delivery and the receipts of its receivers.

    \b
    Example:
      flask whop deliveries show msg_2f7Kq
      flask whop deliveries show msg_2f7Kq --body | jq .data
    """  # noqa: D301  # click reads the backspace
    delivery = _get(delivery_id)
    if body:
        if delivery.body is None:
            raise fault("Its body was dropped when it was done: WHOP_KEEP_PAYLOADS is False, or the store is memory.")
        click.echo(printable_json(delivery.body.decode()) if sys.stdout.isatty() else delivery.body, nl=False)
        return
    receipts = Installation.of(current_app).store.receipts(delivery.key)
    if machine:
        as_json(_plain(delivery) | {"receipts": [receipt._asdict() for receipt in receipts]})
    else:
        _describe(delivery, receipts)


@command.command("replay")
@click.argument("delivery_ids", metavar="[ID]...", nargs=-1)
@click.option("--failed", is_flag=True, help="Replay all that failed or are dead letters.")
@click.option("--type", "event_type", help="With --failed: only events of this type or pattern.")
@click.option("--account", help="With --failed: only events of this account (biz_…).")
@click.option("--since", type=Duration(), help="With --failed: only those received within this time: 90s, 30m, 2h, 7d.")
@click.option("--dry-run", is_flag=True, help="List what would be replayed, and do nothing.")
@click.option("--yes", is_flag=True, help="Don't ask, however many there are.")
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
    """Run deliveries again, here and now, for the receivers that haven't finished them.

    A receiver that finished isn't called again. One that fails again is retried by us
    from then on, as if the delivery had just arrived.

    \b
    Example:
      flask whop deliveries replay msg_2f7Kq
      flask whop deliveries replay --failed --since 2h --dry-run
    """  # noqa: D301  # click reads the backspace
    if bool(delivery_ids) == failed:
        raise click.UsageError("Name the deliveries to replay, or use --failed for all that failed or are dead.")
    if failed:
        latest_first = _find(_filter([State.FAILED, State.DEAD], event_type, account, since), _MOST_REPLAYED)
        chosen = list(reversed(latest_first))
    else:
        chosen = [_get(delivery_id) for delivery_id in delivery_ids]
    count = deliveries(len(chosen))
    if not chosen:
        click.echo("There is nothing to replay.")
    elif dry_run:
        table(_COLUMNS, [_row(delivery) for delivery in chosen])
        click.echo(f"{count} would be replayed.", err=True)
    else:
        if len(chosen) >= _ASK_FROM and not yes:
            click.confirm(f"Replay {count}?", abort=True)
        _replay([delivery.key for delivery in chosen])


@command.command("drop")
@click.argument("receiver", metavar="NAME")
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_appcontext
def drop(receiver: str, *, yes: bool) -> None:
    """Stop waiting for the receiver called NAME, which is gone for good.

    A delivery accepted for a receiver that no process has any more stays due, and ends
    as a dead letter. Its other receivers run as before. Dead letters that wait for the
    receiver are replayed for the others.

    \b
    Example:
      flask whop deliveries drop shop:fulfil
    """  # noqa: D301  # click reads the backspace
    unfinished = _find(_filter([State.DUE, State.DEAD], None, None, None), _MOST_REPLAYED)
    waiting = [delivery for delivery in unfinished if receiver in delivery.receivers]
    if not waiting:
        click.echo(f"No delivery waits for a receiver called {shown(receiver)}.")
        return
    if not yes:
        click.confirm(f"Drop {shown(receiver)} from {deliveries(len(waiting))}?", abort=True)
    installation = Installation.of(current_app)
    dropped = 0
    for delivery in sorted(waiting, key=lambda delivery: delivery.state is State.DEAD):
        droppable = delivery.state is State.DUE or installation.store.replay(delivery.key)
        dropped += droppable and installation.engine.drop(delivery.key, receiver)
    click.echo(f"Dropped {shown(receiver)} from {deliveries(dropped)}, due now for a worker.")


def _replay(keys: Sequence[Key]) -> None:
    results: dict[str, str] = {}
    with click.progressbar(keys, label="Replaying", file=sys.stderr) as progress:
        for key in progress:
            results[key.id] = _replay_one(key)
    unfinished = [(result, name) for name, result in results.items() if result not in _FINISHED]
    click.echo(f"{len(keys) - len(unfinished)} of {deliveries(len(keys))} finished.")
    if unfinished:
        table(("what", "id"), unfinished)
        raise SystemExit(1)


def _replay_one(key: Key) -> str:
    try:
        outcome = Installation.of(current_app).engine.replay(key)
    except StoreUnavailable:
        raise
    except NotReplayable:
        return "not replayable: it's running now, or its payload is gone"
    except FlaskWhopError as error:
        return str(error)
    return "taken by a worker" if outcome is None else outcome.status.value


def _filter(states: Sequence[State], event_type: str | None, account: str | None, since: float | None) -> Filter:
    now = Installation.of(current_app).store.clock()
    return Filter(states, event_type, account, None if since is None else now - since)


def _find(wanted: Filter, limit: int) -> Sequence[Stored]:
    installation = Installation.of(current_app)
    return installation.store.find(installation.engine.endpoint, wanted, limit)


def _get(delivery_id: str) -> Stored:
    installation = Installation.of(current_app)
    stored = installation.store.get(Key(installation.engine.endpoint, delivery_id))
    if stored is None:
        raise fault(f"There is no delivery {delivery_id}. `flask whop deliveries` lists them.")
    return stored


def _row(delivery: Stored) -> tuple[object, ...]:
    received, account = moment(delivery.received_at), delivery.account_id
    return delivery.key.id, delivery.state.value, delivery.attempts, delivery.event_type, received, account


def _describe(delivery: Stored, receipts: Sequence[Receipt]) -> None:
    state = styled(delivery.state.value, _COLORS[delivery.state])
    click.echo(f"{shown(delivery.key.id)}  {shown(delivery.event_type)}  {state}")
    click.echo(f"  account   {shown(delivery.account_id or '-')}")
    click.echo(f"  received  {moment(delivery.received_at)} UTC, tried {times(delivery.attempts)}")
    click.echo(f"  retry     {_retry_owner(delivery)}")
    if delivery.origin is Origin.PULLED:
        click.echo("  origin    pulled from Whop's delivery log, so its bytes aren't those that were signed")
    if not receipts:
        click.echo("  No receiver has been called with it.")
    for receipt in receipts:
        started = receipt.state is ReceiptState.STARTED
        click.echo(f"\n  {shown(receipt.receiver)}  {'started, not finished' if started else receipt.state.value}")
        click.echo(f"    called {times(receipt.attempts)}, last at {moment(receipt.last_at)} UTC")
        if receipt.due_at is not None:
            click.echo(f"    due at {moment(receipt.due_at)} UTC")
        for line in (receipt.error or "").splitlines():
            click.echo(f"    | {shown(line)}")


def _retry_owner(delivery: Stored) -> str:
    if delivery.state is State.DONE:
        return "none"
    if delivery.state is State.DUE:
        return f"ours, due at {moment(delivery.due_at)} UTC"
    return "ours" if delivery.owned and delivery.state is not State.FAILED else "Whop's"


def _plain(delivery: Stored) -> dict[str, object]:
    plain: dict[str, object] = {"id": delivery.key.id, "endpoint": delivery.key.endpoint, **delivery._asdict()}
    del plain["key"], plain["body"]
    return plain
