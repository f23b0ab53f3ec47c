"""``flask whop init-db``: creates the tables."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_whop.cli.output import as_json, fault
from flask_whop.engine.installation import Installation
from flask_whop.errors import FlaskWhopError


@click.command("init-db")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts.")
@with_appcontext
def command(*, machine: bool) -> None:
    """Create or migrate the tables that deliveries are stored in.

    The app does this when it starts, unless its store was made with create=False.

    \b
    Example:
      flask whop init-db
    """  # noqa: D301  # click reads the backspace
    create = getattr(Installation.of(current_app).store, "create_tables", None)
    try:
        if create is not None:
            create()
    except FlaskWhopError as error:
        # The operator is here to repair it, so show what the database says too.
        raise fault(f"{error} {error.__cause__ or ''}".strip()) from None
    if machine:
        as_json({"ready": True, "tables": create is not None})
    elif create is None:
        click.echo("Nothing to do: this store creates what it needs when the app starts.")
    else:
        click.echo("The tables are ready.")
