"""Secrets in a file of environment variables, such as ``.env``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from flask_whop.checks import problem_of
from flask_whop.cli.output import fault
from flask_whop.errors import MissingExtraError
from flask_whop.stores.files import make_private

try:
    from dotenv import dotenv_values, set_key
except ImportError:
    raise MissingExtraError('--env-file needs: pip install "flask-whop[api]"') from None

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VARIABLE: Final = "WHOP_WEBHOOK_SECRET"


def secrets_in(env_file: Path) -> list[str]:
    """Return the secrets that the file has already; it's sure then that it can be written."""
    try:
        make_private(env_file)
        value = dotenv_values(env_file, interpolate=False).get(VARIABLE) or ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8"
        raise fault(f"{env_file} can't be written ({reason}), so nothing was changed.") from None
    return [secret for secret in re.split(" *, *", value) if problem_of(secret) is None or secret.startswith("$")]


def write_secrets(env_file: Path, secrets: Sequence[str]) -> None:
    """Write the secrets; if that fails after all, show the new one, which nobody can ask for again."""
    try:
        # To the file itself: what a link points to would be replaced by a copy.
        set_key(env_file.resolve(), VARIABLE, ",".join(secrets), quote_mode="never")
    except OSError as error:
        click.echo(f"\n  {VARIABLE}={secrets[-1]}\n")
        raise fault(f"{env_file} couldn't be written ({error.strerror}): keep the secret above.") from None
