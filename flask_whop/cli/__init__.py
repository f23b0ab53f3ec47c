"""The commands under ``flask whop``, each imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

import click
from flask.cli import AppGroup

COMMANDS: Final[tuple[str, ...]] = ("deliveries", "doctor", "events", "init-db", "prune", "trigger", "work")
"""The names of the commands; ``init-db`` is ``command`` in ``flask_whop/cli/init_db.py``."""


class WhopCommands(AppGroup):
    """The group ``flask whop``."""

    def __init__(self) -> None:
        super().__init__("whop", help="Receive Whop's webhooks: look, try, run and repair.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order of the alphabet."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name; None if there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"flask_whop.cli.{cmd_name.replace('-', '_')}")
        return cast("click.Command", module.command)
