"""The settings, read once at start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_whop.errors import ConfigError

_MIN_SECRET_BYTES = 16
_MAX_TOLERANCE = 86_400
_MIN_DISTINCT = 5
_PLACEHOLDERS = re.compile(
    r"fallback|secret|changeme|test|testing|password|placeholder|example|todo|none|null|undefined|dummy"
    r"|(ws)?(my|your|the)?(whop)?(webhook)?(signing)?(secret|key)(here)?",
)
_WHERE = (
    "Whop shows it once, when a webhook is created: ws_ and 64 hex digits, all of which belong to it. Put it in"
    " app.config or in the environment variable of that name, before WhopWebhooks is set up."
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the app's configuration says."""

    secrets: tuple[str, ...] = field(repr=False)
    """``WHOP_WEBHOOK_SECRET``: the secret of the webhook, or several of them in a list.

    All are tried in turn: for the time of a rotation, and for platforms with two
    webhooks. In the environment, several are separated by commas."""
    path: str = "/webhooks/whop"
    """``WHOP_WEBHOOK_PATH``: where Whop delivers to."""
    tolerance: float = 300.0
    """``WHOP_WEBHOOK_TOLERANCE``: how many seconds old, or early, a signature may be."""
    max_bytes: int = 1_048_576
    """``WHOP_WEBHOOK_MAX_BYTES``: the size of the largest body that is read."""
    accounts: frozenset[str] = frozenset()
    """``WHOP_ACCOUNTS``: the only accounts (``biz_…``) whose events are taken; all if empty."""

    @classmethod
    def read(cls, config: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """Read the settings of an app.

        Raises :class:`~flask_whop.errors.ConfigError`, which names the setting and says
        what to do, and never repeats a secret.
        """
        return cls(
            secrets=_secrets(config, environ),
            path=_path(config.get("WHOP_WEBHOOK_PATH", "/webhooks/whop")),
            tolerance=_tolerance(config.get("WHOP_WEBHOOK_TOLERANCE", 300)),
            max_bytes=_max_bytes(config.get("WHOP_WEBHOOK_MAX_BYTES", 1_048_576)),
            accounts=frozenset(_texts("WHOP_ACCOUNTS", config.get("WHOP_ACCOUNTS"))),
        )


def _secrets(config: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, ...]:
    key = "WHOP_WEBHOOK_SECRET"
    configured = config.get(key)
    if configured is None and environ.get(key):
        configured = environ[key].split(",")
    secrets = _texts(key, configured)
    if not secrets:
        raise ConfigError(f"{key} is not set. {_WHERE}")
    for index, secret in enumerate(secrets):
        name = key if len(secrets) == 1 else f"{key}[{index}]"
        fault = _fault(secret)
        if fault:
            raise ConfigError(f"{name} {fault}. {_WHERE}")
    return secrets


def _fault(secret: str) -> str | None:  # noqa: PLR0911  # a list of checks, one a line
    if not secret.strip():
        return "is empty"
    if secret != secret.strip():
        return "has white space around it, often the newline of a file"
    if secret[0] in "\"'`" or secret[-1] in "\"'`":
        return "has quotes around it, often those of an .env file"
    letters = re.sub(r"[^a-z0-9]", "", secret.lower())
    if _PLACEHOLDERS.fullmatch(letters) or (secret[0], secret[-1]) in (("<", ">"), ("{", "}"), ("$", "}")):
        return "is a placeholder, with which anyone could forge an event"
    if len(secret.encode()) < _MIN_SECRET_BYTES:
        return f"is shorter than {_MIN_SECRET_BYTES} bytes, and could be guessed"
    if len(set(letters.removeprefix("ws"))) < _MIN_DISTINCT:
        return "is a placeholder, with which anyone could forge an event"
    return None


def _texts(key: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in values):
        raise ConfigError(f"{key} has to be text, or a list of texts; it is {type(value).__name__}.")
    return tuple(values)


def _path(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or re.search(r"[<>?#\s]", value):
        raise ConfigError(f"WHOP_WEBHOOK_PATH has to be a path such as /webhooks/whop; it is {value!r}.")
    return value


def _tolerance(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MAX_TOLERANCE:
        raise ConfigError(
            f"WHOP_WEBHOOK_TOLERANCE has to be a number of seconds, over 0 and up to {_MAX_TOLERANCE};"
            f" it is {value!r}. Whop signs anew at each retry, so that 300 fits any clock that is set."
        )
    return float(value)


def _max_bytes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigError(f"WHOP_WEBHOOK_MAX_BYTES has to be a whole number over 0; it is {value!r}.")
    return value
