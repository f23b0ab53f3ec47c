"""``flask whop sample``: what Whop sends with an event, to read or to change."""

from __future__ import annotations

import click

from flask_whop.cli.events import complete
from flask_whop.cli.output import as_json
from flask_whop.events.samples import fresh, sample
from flask_whop.events.samples.facts import FIRST_MOMENT


@click.command("sample")
@click.argument("event_type", metavar="TYPE", shell_complete=complete)
@click.option("--pin", help="Use the payload shape of this version pin, such as 2026-10-15-1.")
@click.option("--seed", metavar="TEXT", help="Another event of this type, the same for the same TEXT.")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as it always does.")
def command(event_type: str, *, pin: str | None, seed: str | None) -> None:
    """Print the body of an event of TYPE as JSON.

    It's made up, and the same each time. Its values agree with each other, as those of a
    real event do.

    \b
    Example:
      flask whop sample payment.succeeded
      flask whop sample refund.created --pin 2026-10-15-1 > refund.json
      flask whop trigger refund.created --body refund.json
    """  # noqa: D301  # click reads the backspace
    as_json(sample(event_type, pin) if seed is None else fresh(event_type, pin, seed, FIRST_MOMENT))
