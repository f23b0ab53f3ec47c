"""``flask whop prune``: forgets old deliveries."""

from __future__ import annotations

import math

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import fault
from flask_whop.config import MIN_KEEP_DAYS
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import DAY
from flask_whop.errors import FlaskWhopError


@click.command("prune")
@click.option(
    "--days",
    type=click.FloatRange(min=MIN_KEEP_DAYS),
    help="Forget what is older than this many days; WHOP_KEEP_DAYS where it is left out.",
)
@with_appcontext
def command(days: float | None) -> None:
    """Forget deliveries that are older than they are kept.

    What is due is never forgotten. A worker does this by itself once an hour.

    \b
    Example:
      flask whop prune --days 7
    """  # noqa: D301  # click reads the backspace
    installation = Installation.of(current_app)
    kept = installation.settings.keep_days if days is None else days
    if not math.isfinite(kept):
        raise click.UsageError(f"--days has to be a number of days; it is {kept}.")
    try:
        pruned = installation.store.prune(installation.engine.endpoint, installation.store.clock() - kept * DAY)
    except FlaskWhopError as error:
        raise fault(error) from None
    click.echo(f"Forgot {pruned} deliveries that had not changed for {kept:g} days.")
