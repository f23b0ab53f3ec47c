"""``flask whop sync``: makes the webhook at Whop deliver what has receivers here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.checks import is_pin
from flask_whop.cli.env_file import VARIABLE, secrets_in, write_secrets
from flask_whop.cli.output import as_json, waiting
from flask_whop.engine.installation import Installation
from flask_whop.errors import ApiError
from flask_whop.events.offers import permission_of
from flask_whop.grammar import counted
from flask_whop.names import shown
from flask_whop.reconcile.plan import Plan, Wish, events_with_receivers, handles_unknown, make_plan
from flask_whop.reconcile.webhooks import address_of, api_of, webhooks_at

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import Webhook

_MANAGE = "developer:manage_webhook"


@click.command("sync")
@click.option("--url", help="The app's public address. Default: WHOP_PUBLIC_URL.")
@click.option("--webhook", "webhook_id", metavar="ID", help="Change this webhook (hook_…), wherever it delivers.")
@click.option("--remove", is_flag=True, help="Unsubscribe from the events that have no receiver.")
@click.option("--let-go", is_flag=True, help="Lose even events with receivers, if Whop no longer takes their names.")
@click.option("--enable", is_flag=True, help="Enable the webhook again if it's disabled.")
@click.option(
    "--child-events/--own-events", default=None, help="Deliver the events of connected accounts only, or not."
)
@click.option("--pin", metavar="DATE", help="Pin the payloads to this version, such as 2026-10-15-1.")
@click.option("--no-pin", is_flag=True, help="Remove the pin.")
@click.option("--resource-id", metavar="ID", help="With a new webhook: the account (biz_…) or app (app_…) it is for.")
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the secret of a new webhook to this file instead of showing it.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts; needs --yes or --dry-run.")
@with_appcontext
def command(  # noqa: PLR0913  # one for each option
    *,
    url: str | None,
    webhook_id: str | None,
    remove: bool,
    let_go: bool,
    enable: bool,
    child_events: bool | None,
    pin: str | None,
    no_pin: bool,
    resource_id: str | None,
    env_file: Path | None,
    dry_run: bool,
    yes: bool,
    machine: bool,
) -> None:
    """Subscribe the webhook at Whop to the events that have receivers in the app.

    It's the webhook whose address is the app's; if there is none, it is created. Nothing
    is removed, enabled or pinned unless you say so, and the plan is shown first.

    \b
    Example:
      flask whop sync --url https://shop.example.com --dry-run
      flask whop sync --url https://shop.example.com --env-file .env
    """  # noqa: D301  # click reads the backspace
    if pin is not None and not is_pin(pin):
        raise click.UsageError(f"--pin must be a date such as 2026-10-15-1; it is {pin!r}.")
    if pin is not None and no_pin:
        raise click.UsageError("--pin and --no-pin exclude each other.")
    if machine and not (yes or dry_run):
        raise click.UsageError("--json can't ask: pass --yes or --dry-run.")
    installation = Installation.of(current_app)
    with api_of(installation, waiting=waiting) as api:
        named = api.webhook(webhook_id) if webhook_id else None
        address = named.url if named else address_of(installation, url)
        wish = Wish(
            address,
            frozenset(events_with_receivers(installation.app)),
            handles_unknown=handles_unknown(installation.app),
            remove=remove,
            let_go=let_go,
            enable=enable,
            child_events=child_events,
            pin="" if no_pin else pin,
            resource_id=resource_id,
        )
        plan = make_plan(wish, [named] if named else webhooks_at(api, address, resource_id))
        notes = (*plan.notes, *_missing_permissions(api, plan, resource_id or _only(installation.settings.accounts)))
        if not machine:
            _show(plan, notes)
        made: Webhook | None = None
        if plan.steps and not dry_run:
            if not yes:
                click.confirm("Make these changes at Whop?", abort=True)
            made = _apply(api, plan, env_file, machine=machine)
    if machine:
        _print(plan, notes, made, secret_shown=env_file is None, applied=bool(plan.steps) and not dry_run)


def _only(accounts: frozenset[str]) -> str | None:
    return next(iter(accounts)) if len(accounts) == 1 else None


def _missing_permissions(api: WhopApi, plan: Plan, resource_id: str | None) -> list[str]:
    """Look up what the key may do; raise if it can't manage webhooks, and note what an app's webhook lacks."""
    about = plan.webhook.resource_id if plan.webhook else resource_id
    if about is None:
        return []  # the key's own account, whose id isn't known here
    needed = sorted({permission_of(event) for event in plan.events}) if about.startswith("app_") else []
    granted = api.permissions(about, [_MANAGE, *needed])
    if granted.get(_MANAGE) is False:
        raise ApiError(
            f"The API key lacks the permission {_MANAGE} for {about}: add it to the key in Whop's dashboard."
        )
    lacking = [permission for permission in needed if granted.get(permission) is False]
    return [f"The app lacks {', '.join(lacking)}, so fields of these payloads are null."] if lacking else []


def _show(plan: Plan, notes: tuple[str, ...]) -> None:
    webhook = plan.webhook
    click.echo(f"{webhook.id if webhook else 'No webhook yet'}, for {shown(plan.url)}")
    for step in plan.steps:
        click.echo(f"  {click.style('+', fg='green')} {shown(step)}")
    for note in notes:
        click.echo(f"  {click.style('!', fg='yellow')} {shown(note)}")
    if not plan.steps:
        click.echo(f"It delivers every event that has a receiver here ({len(plan.events)}). Nothing to change.")


def _apply(api: WhopApi, plan: Plan, env_file: Path | None, *, machine: bool) -> Webhook | None:
    """Make the changes; return the webhook if it is new."""
    creates = plan.webhook is None
    known = secrets_in(env_file) if creates and env_file is not None else []
    webhook = plan.apply(api)
    if webhook is None:
        return None
    if not machine:
        click.echo(f"Done: {webhook.id} has {counted(len(webhook.events), 'event')}.")
    if not creates:
        return None
    if webhook.secret is None:
        raise ApiError(f"Whop created {webhook.id} and didn't show its secret: delete it there, and try again.")
    if env_file is not None:
        write_secrets(env_file, [*known, webhook.secret])
        if not machine:
            click.echo(f"Its secret is in {shown(env_file)}, as {VARIABLE}.")
    elif not machine:
        click.echo("Its secret, which Whop never shows again; put it where the app reads its settings:")
        click.echo(f"\n  {VARIABLE}={webhook.secret}\n")  # the one time that a secret is printed
    return webhook


def _print(plan: Plan, notes: tuple[str, ...], made: Webhook | None, *, secret_shown: bool, applied: bool) -> None:
    webhook = made or plan.webhook
    report = {
        "webhook": webhook.id if webhook else None,
        "url": plan.url,
        "events": plan.events,
        "steps": plan.steps,
        "notes": notes,
        "applied": applied,
    }
    if made is not None and secret_shown:
        click.echo(json.dumps(report | {"secret": made.secret}, indent=2))  # as_json would leave the secret out
    else:
        as_json(report)
