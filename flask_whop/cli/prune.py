"""``flask whop prune``: deletes old deliveries."""

from __future__ import annotations

import math

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import as_json, deliveries
from flask_whop.config import MIN_KEEP_DAYS
from flask_whop.engine.deliveries import Deliveries
from flask_whop.engine.installation import Installation


@click.command("prune")
@click.option(
    "--days",
    type=click.FloatRange(min=MIN_KEEP_DAYS),
    help="Delete what hasn't changed for this many days. Default: WHOP_KEEP_DAYS.",
)
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts.")
@with_appcontext
def command(*, days: float | None, machine: bool) -> None:
    """Delete deliveries that are past WHOP_KEEP_DAYS.

    What is due is never deleted. A worker prunes automatically once an hour.

    \b
    Example:
      flask whop prune --days 7
    """  # noqa: D301  # click reads the backspace
    installation = Installation.of(current_app)
    keep_days = installation.settings.keep_days if days is None else days
    if not math.isfinite(keep_days):
        raise click.UsageError(f"--days must be a number of days; it is {keep_days}.")
    pruned = Deliveries(installation).prune(keep_days)
    if machine:
        as_json({"deleted": pruned, "days": keep_days})
    else:
        click.echo(f"Deleted {deliveries(pruned)} unchanged for {keep_days:g} days.")
