"""The commands under ``flask whop``, each imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, cast

import click
from flask.cli import AppGroup

from flask_whop.errors import FlaskWhopError
from flask_whop.names import shown

COMMANDS: Final[tuple[str, ...]] = (
    "deliveries",
    "doctor",
    "events",
    "init-db",
    "listen",
    "prune",
    "pull",
    "sample",
    "secret",
    "sync",
    "trigger",
    "work",
)
"""The names of the commands; ``init-db`` is ``command`` in ``flask_whop/cli/init_db.py``."""


class WhopCommands(AppGroup):
    """The group ``flask whop``."""

    def __init__(self) -> None:
        super().__init__("whop", help="Work with Whop's webhooks: inspect, trigger, run and repair deliveries.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands alphabetically."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name; None if there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"flask_whop.cli.{cmd_name.replace('-', '_')}")
        return cast("click.Command", module.command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of this library ends it with a message instead of a traceback."""
        try:
            return super().invoke(ctx)
        except FlaskWhopError as error:
            raise click.ClickException(shown(error)) from None
