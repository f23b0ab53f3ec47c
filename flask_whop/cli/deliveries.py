"""``flask whop deliveries``: what came, what became of it, and what to run again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import islice

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import (
    Duration,
    as_json,
    confirm,
    deliveries,
    fault,
    moment,
    stdout_kept_clean,
    styled,
    table,
)
from flask_whop.engine.deliveries import Deliveries, Details
from flask_whop.engine.installation import Installation
from flask_whop.errors import FlaskWhopError, StoreUnavailable
from flask_whop.events import recordings
from flask_whop.grammar import counted
from flask_whop.names import printable_json, shown
from flask_whop.stores import Key, Origin, Receipt, ReceiptState, State, Stored

_COLUMNS = ("id", "state", "tries", "type", "received (UTC)", "account")
_ASK_FROM = 2
_MOST_REPLAYED = 100_000
_COLORS = {State.DONE: "green", State.FAILED: "yellow", State.DUE: "yellow", State.DEAD: "red", State.RUNNING: "cyan"}
_IN_WORDS = {"retry_later": "failed, and is called again"}
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
@click.option("--receiver", metavar="NAME", help="Only those with a receipt of this receiver.")
@click.option("--given-up", is_flag=True, help="Only those that a receiver (or --receiver) has given up on.")
@click.option("--find", "text", metavar="ID", help="Only those about this id: of a delivery, an account or a resource.")
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
    receiver: str | None,
    given_up: bool,
    text: str | None,
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
    page = _deliveries().find(
        states=[State(state) for state in states],
        event_type=event_type,
        account_id=account,
        text=text,
        receiver=receiver,
        receipt_state=ReceiptState.GIVEN_UP if given_up else None,
        since=_since(since),
        limit=limit,
    )
    stored = page.deliveries
    if machine:
        as_json([_plain(delivery) for delivery in stored])
    elif not stored:
        click.echo("There are no such deliveries.")
    else:
        table(_COLUMNS, [_row(delivery) for delivery in stored])
        if page.cursor is not None:
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
    details = _get(delivery_id)
    if body:
        sent = _body_of(details)
        click.echo(printable_json(sent.decode()) if sys.stdout.isatty() else sent, nl=False)
        return
    if machine:
        as_json(_plain(details.delivery) | {"receipts": [_timed(receipt._asdict()) for receipt in details.receipts]})
    else:
        _describe(details.delivery, details.receipts)


@command.command("record")
@click.argument("delivery_id", metavar="ID")
@click.option("--keep", multiple=True, metavar="PATH", help="Leave this field as it is: data.plan_id; may be repeated.")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, which it does in any case.")
@with_appcontext
def record(delivery_id: str, *, keep: Sequence[str]) -> None:
    """Print a delivery as a fixture for tests, without the personal data in it.

    Amounts, times, flags, counts and documented words (a status) stay. Every other value,
    ids included, becomes a stand-in: always the same one for the same value, and nobody
    gets back to the value from it without the app's secret. So does everything in fields
    that this release doesn't know. Look it over before you commit it.

    In a test, whop.deliver(recorded("refund.json")) plays tests/deliveries/refund.json.

    \b
    Example:
      flask whop deliveries record msg_2f7Kq > tests/deliveries/refund.json
      flask whop deliveries record msg_2f7Kq --keep data.plan_id --keep data.metadata.order
    """  # noqa: D301  # click reads the backspace
    sent = _body_of(_get(delivery_id))
    recording = recordings.record(sent, delivery_id, Installation.of(current_app).secret, keep=keep)
    click.echo(recording.text, nl=False)
    click.echo(f"{counted(recording.replaced, 'value')} replaced. Look it over before you commit it.", err=True)
    if recording.unknown:
        names = ", ".join(map(shown, recording.unknown))
        click.echo(f"Replaced because this release doesn't know them: {names}.", err=True)


@command.command("replay")
@click.argument("delivery_ids", metavar="[ID]...", nargs=-1)
@click.option("--failed", is_flag=True, help="Replay all that failed or are dead letters.")
@click.option("--type", "event_type", help="With --failed: only events of this type or pattern.")
@click.option("--account", help="With --failed: only events of this account (biz_…).")
@click.option("--since", type=Duration(), help="With --failed: only those received within this time: 90s, 30m, 2h, 7d.")
@click.option("--receiver", "receivers", multiple=True, metavar="NAME", help="Only for this receiver; may be repeated.")
@click.option("--force", is_flag=True, help="With --receiver: even if it has finished the delivery.")
@click.option("--dry-run", is_flag=True, help="List what would be replayed, and do nothing.")
@click.option("--yes", is_flag=True, help="Don't ask, however many there are.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts; needs --yes if there are several.")
@with_appcontext
def replay(  # noqa: PLR0913  # one for each option
    delivery_ids: Sequence[str],
    *,
    failed: bool,
    event_type: str | None,
    account: str | None,
    since: float | None,
    receivers: Sequence[str],
    force: bool,
    dry_run: bool,
    yes: bool,
    machine: bool,
) -> None:
    """Run deliveries again, here and now, for the receivers that haven't finished them.

    A receiver that finished isn't called again. One that fails again is retried by us
    from then on, as if the delivery had just arrived. With --receiver and --force, even
    one that finished is called again, with the same idempotency key.

    \b
    Example:
      flask whop deliveries replay msg_2f7Kq
      flask whop deliveries replay --failed --since 2h --dry-run
    """  # noqa: D301  # click reads the backspace
    if bool(delivery_ids) == failed:
        raise click.UsageError("Name the deliveries to replay, or use --failed for all that failed or are dead.")
    if force and not receivers:
        raise click.UsageError("--force goes with --receiver: all receivers would run a second time.")
    if failed:
        found = _deliveries().every(
            states=[State.FAILED, State.DEAD], event_type=event_type, account_id=account, since=_since(since)
        )
        chosen = list(reversed(list(islice(found, _MOST_REPLAYED))))
    else:
        chosen = [_get(delivery_id).delivery for delivery_id in delivery_ids]
    count = deliveries(len(chosen))
    if dry_run and machine:
        as_json([{"id": delivery.key.id, "what": None} for delivery in chosen])
    elif not chosen and not machine:
        click.echo("There is nothing to replay.")
    elif dry_run:
        table(_COLUMNS, [_row(delivery) for delivery in chosen])
        click.echo(f"{count} would be replayed.", err=True)
    else:
        if len(chosen) >= _ASK_FROM and not yes:
            confirm(f"Replay {count}?", machine=machine)
        _replay([delivery.key for delivery in chosen], receivers, force=force, machine=machine)


@command.command("drop")
@click.argument("receiver", metavar="NAME")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts; needs --yes.")
@with_appcontext
def drop(receiver: str, *, yes: bool, machine: bool) -> None:
    """Stop waiting for the receiver called NAME, which is gone for good.

    A delivery accepted for a receiver that no process has any more stays due, and ends
    as a dead letter. Its other receivers run as before. Dead letters that wait for the
    receiver are replayed for the others.

    \b
    Example:
      flask whop deliveries drop shop:fulfil
    """  # noqa: D301  # click reads the backspace
    unfinished = islice(_deliveries().every(states=[State.DUE, State.DEAD]), _MOST_REPLAYED)
    waiting = [delivery for delivery in unfinished if receiver in delivery.receivers]
    if not waiting and not machine:
        click.echo(f"No delivery waits for a receiver called {shown(receiver)}.")
        return
    if waiting and not yes:
        confirm(f"Drop {shown(receiver)} from {deliveries(len(waiting))}?", machine=machine)
    due_first = sorted(waiting, key=lambda delivery: delivery.state is State.DEAD)
    dropped = sum(_deliveries().drop(delivery, receiver) for delivery in due_first)
    if machine:
        as_json({"receiver": receiver, "dropped": dropped})
    else:
        click.echo(f"Dropped {shown(receiver)} from {deliveries(dropped)}, due now for a worker.")


@command.command("erase")
@click.argument("delivery_ids", metavar="[ID]...", nargs=-1)
@click.option("--account", help="All of this account (biz_…).")
@click.option("--resource", metavar="TYPE:ID", help="All about this resource, such as payment:pay_1a2b.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts; needs --yes.")
@with_appcontext
def erase(delivery_ids: Sequence[str], *, account: str | None, resource: str | None, yes: bool, machine: bool) -> None:
    """Forget payloads, and what receivers raised, of deliveries that you name.

    Ids and receipts stay, so nothing runs a second time. What was unfinished counts as
    done, and can't be replayed any more.

    \b
    Example:
      flask whop deliveries erase --account biz_1a2b
      flask whop deliveries erase --resource payment:pay_1a2b
    """  # noqa: D301  # click reads the backspace
    if not (delivery_ids or account or resource):
        raise click.UsageError("Name deliveries, or use --account or --resource.")
    if not yes:
        confirm("Erase their payloads for good?", machine=machine)
    erased = _deliveries().erase(delivery_ids=delivery_ids, account_id=account, resource=resource)
    if machine:
        as_json({"erased": erased})
    else:
        click.echo(f"Erased the payloads of {deliveries(erased)}.")


def _replay(keys: Sequence[Key], receivers: Sequence[str], *, force: bool, machine: bool) -> None:
    results: dict[str, str] = {}
    with (
        stdout_kept_clean(machine),
        click.progressbar(keys, label="Replaying", file=sys.stderr, hidden=machine) as progress,
    ):
        for key in progress:
            results[key.id] = _replay_one(key, receivers, force=force)
    unfinished = [(result, name) for name, result in results.items() if result not in _FINISHED]
    if machine:
        as_json([{"id": name, "what": result} for name, result in results.items()])
    else:
        click.echo(f"{len(keys) - len(unfinished)} of {deliveries(len(keys))} finished.")
        if unfinished:
            table(("what", "id"), [(_IN_WORDS.get(result, result), name) for result, name in unfinished])
    if unfinished:
        raise SystemExit(1)


def _replay_one(key: Key, receivers: Sequence[str], *, force: bool) -> str:
    try:
        outcome = _deliveries().replay(key.id, receivers, force=force)
    except StoreUnavailable:
        raise
    except FlaskWhopError as error:
        return str(error)
    return "taken by a worker" if outcome is None else outcome.status.value


def _deliveries() -> Deliveries:
    return Deliveries(Installation.of(current_app))


def _since(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    now = Installation.of(current_app).store.clock()
    return datetime.fromtimestamp(now - seconds, tz=timezone.utc)


def _get(delivery_id: str) -> Details:
    details = _deliveries().get(delivery_id)
    if details is None:
        raise fault(f"There is no delivery {delivery_id}. `flask whop deliveries` lists them.")
    return details


def _body_of(details: Details) -> bytes:
    if details.body is None:
        raise fault("Its body was dropped when it was done: WHOP_KEEP_PAYLOADS is False, or the store is memory.")
    return details.body


def _row(delivery: Stored) -> tuple[object, ...]:
    received, account = moment(delivery.received_at), delivery.account_id
    return delivery.key.id, delivery.state.value, delivery.attempts, delivery.event_type, received, account


def _describe(delivery: Stored, receipts: Sequence[Receipt]) -> None:
    state = styled(delivery.state.value, _COLORS[delivery.state])
    click.echo(f"{shown(delivery.key.id)}  {shown(delivery.event_type)}  {state}")
    click.echo(f"  account   {shown(delivery.account_id or '-')}")
    click.echo(f"  received  {moment(delivery.received_at)} UTC, tried {counted(delivery.attempts, 'time')}")
    click.echo(f"  retry     {_retry_owner(delivery)}")
    if delivery.origin is Origin.PULLED:
        click.echo("  origin    pulled from Whop's delivery log, so its bytes aren't those that were signed")
    if not receipts:
        click.echo("  No receiver has been called with it.")
    for receipt in receipts:
        started = receipt.state is ReceiptState.STARTED
        click.echo(f"\n  {shown(receipt.receiver)}  {'started, not finished' if started else receipt.state.value}")
        click.echo(f"    called {counted(receipt.attempts, 'time')}, last at {moment(receipt.last_at)} UTC")
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
    return _timed(plain)


def _timed(record: dict[str, object]) -> dict[str, object]:
    """Write the times of a record as ISO 8601."""
    return {
        name: datetime.fromtimestamp(value, tz=timezone.utc).isoformat()
        if name.endswith("_at") and isinstance(value, (int, float))
        else value
        for name, value in record.items()
    }
