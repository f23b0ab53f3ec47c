"""``flask whop secret``: makes a secret for development."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import click

from flask_whop.checks import new_secret
from flask_whop.names import shown


@click.command("secret")
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write it to this file, such as .env, unless the file has one, instead of showing it.",
)
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts.")
def command(*, env_file: Path | None, machine: bool) -> None:
    """Make a secret for development, in the form of Whop's.

    With it the app starts before there is a webhook at Whop, and takes what `flask whop
    trigger` and `flask whop listen` deliver. Whop's own deliveries need the secret that
    Whop shows. Nothing is written unless you say where.

    \b
    Example:
      flask whop secret
      flask whop secret --env-file .env
    """  # noqa: D301  # click reads the backspace
    secret = new_secret()
    if env_file is not None:
        _write(env_file, secret, machine=machine)
    elif machine:
        click.echo(json.dumps({"secret": secret}))
    else:
        click.echo(f"WHOP_WEBHOOK_SECRET={secret}")
        click.echo(_WHERE if find_spec("dotenv") else f"{_WHERE}\n{_NO_DOTENV}", err=True)


_WHERE = (
    "\nThis line belongs in .env, which git has to ignore (not in .flaskenv, which is usually committed), or in the"
    "\nenvironment; app.config takes the secret as well. --env-file .env writes it. It's for this machine alone: in"
    "\nproduction, use the secret that Whop shows when you create a webhook."
)
_NO_DOTENV = "\nThe flask command reads .env if python-dotenv is installed, and it isn't: pip install python-dotenv"


def _write(env_file: Path, secret: str, *, machine: bool) -> None:
    from flask_whop.cli.env_file import VARIABLE, secrets_in, write_secrets  # noqa: PLC0415  # needs an extra

    has_one = bool(secrets_in(env_file))
    if not has_one:
        write_secrets(env_file, [secret])
    if machine:
        click.echo(json.dumps({"env_file": str(env_file), "written": not has_one}))
    elif has_one:
        click.echo(f"{shown(env_file)} has a {VARIABLE}, which is kept.")
    else:
        click.echo(f"A secret for development is in {shown(env_file)}, as {VARIABLE}. Keep the file out of git.")
