"""Checks of configured values: each takes the key and the value, and returns the setting or raises ConfigError."""

from __future__ import annotations

import math
import os
import re
import sys
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from flask_whop.errors import ConfigError
from flask_whop.names import shown

NAME: Final = "whop"
"""The name of the blueprint (so the endpoint is ``whop.receive``), the extension and the command group."""

API_BASES: Final = {
    "production": "https://api.whop.com/api/v1",
    "sandbox": "https://sandbox-api.whop.com/api/v1",
}
"""The base address of Whop's API in each environment."""

MIN_KEEP_DAYS: Final = 4
"""How many days deliveries are kept at least."""

_MIN_SECRET_BYTES = 16
_MIN_DISTINCT = 5
_MAX_TOLERANCE = 86_400
_OVER_ZERO = math.ulp(0.0)
_HIGHEST = sys.float_info.max
_SHOWN = 80
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1", re.ASCII)
_API_KEY = re.compile(r"[!-~]+", re.ASCII)
_PIN = re.compile(r"(\d{4}-\d{2}-\d{2})(-\d+)?", re.ASCII)
_ACCOUNT = re.compile(r"biz_[A-Za-z0-9_\-]+", re.ASCII)
_PLACEHOLDERS = re.compile(
    r"fallback|secret|changeme|test|testing|password|placeholder|example|todo|none|null|undefined|dummy"
    r"|(ws)?(my|your|the)?(whop)?(webhook)?(signing)?(secret|key)(here)?",
)
_WHERE = (
    "Whop shows it once, when a webhook is created: ws_ and 64 hex digits, which all belong to it. Put it in app.config"
    " or in the environment variable of that name before you set up WhopWebhooks."
)


def secrets(key: str, value: object) -> tuple[str, ...]:
    """Check the secrets of webhooks."""
    given = texts(key, value)
    if not given and _command() is None:
        raise ConfigError(no_secret(key))
    for index, secret in enumerate(given):
        problem = problem_of(secret)
        if problem and _command() == "secret":
            return ()  # it makes the one to put there instead
        if problem:
            raise ConfigError(f"{key if len(given) == 1 else f'{key}[{index}]'} {problem}. {_WHERE}")
    return given


def no_secret(key: str) -> str:
    """Say that there is no secret, and what to do."""
    return (
        f"{key} is not set. {_WHERE} `flask whop secret` makes one for development; an app under test needs none, if"
        " TESTING is set by then."
    )


def new_secret() -> str:
    """Make a secret in the form of Whop's."""
    return f"ws_{os.urandom(32).hex()}"


def _command() -> str | None:
    """Return the command of ours for which the app is loaded; empty for help alone, None for anything else.

    It may be the one that gets the first secret. Without a secret every request is
    refused, and no server starts for help.
    """
    if os.environ.get("FLASK_RUN_FROM_CLI") != "true":
        return None
    words: list[str] = []
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        if argument in ("-A", "--app", "-e", "--env-file"):
            next(arguments, None)
        elif not argument.startswith("-"):
            words.append(argument)
    if words and words[0] != NAME:
        return None
    return words[1] if words[1:] else ""


def problem_of(secret: str) -> str | None:  # noqa: PLR0911  # a list of checks, one a line
    """Return why a text can't be a webhook's secret, for the end of a sentence; None if it can."""
    if not _is_utf8(secret):
        return "isn't UTF-8"
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


def is_pin(text: str) -> bool:
    """Whether a text can be the version that a webhook is pinned to: a date, which may have a number behind it."""
    match = _PIN.fullmatch(text)
    try:
        return match is not None and bool(date.fromisoformat(match[1]))
    except ValueError:
        return False


def path(key: str, value: object) -> str:
    """Check the path of a route."""
    if (
        not isinstance(value, str)
        or not value.startswith("/")
        or re.search(r"[<>?#\s]", value)
        or not value.isprintable()
    ):
        raise ConfigError(f"{key} must be a path such as /webhooks/whop; it is {repr_of(value)}.")
    return value


def host(key: str, value: object) -> str | None:
    """Check a host, with or without a port."""
    if value is None:
        return None
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ConfigError(
            f"{key} must be a host such as hooks.example.com, with the port unless it is 80 or 443; it is"
            f" {repr_of(value)}."
        )
    return value.lower()


def accounts(key: str, value: object) -> frozenset[str]:
    """Check account ids."""
    given = texts(key, value)
    for account in given:
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError(
                f"{key} must be account ids (biz_ and then letters and digits), as a list or separated by commas; one"
                f" is {repr_of(account)}. Leave the setting out to take the events of all accounts."
            )
    return frozenset(given)


def endpoint(key: str, value: object) -> str:
    """Check the name of an endpoint."""
    given = text(key, value)
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", given):
        raise ConfigError(f"{key} must be up to 64 letters, digits and _ - . ; it is {repr_of(given)}.")
    return given


def queue(key: str, value: object) -> str | None:
    """Check the name of a queue."""
    return text(key, value) if value else None


def api_key(key: str, value: object) -> str:
    """Check an API key, without repeating it."""
    given = text(key, value).strip()
    if not _API_KEY.fullmatch(given):
        raise ConfigError(
            f"{key} has white space, a line break or letters outside ASCII in it: it must be the API key just as Whop's"
            " dashboard shows it."
        )
    return given


def environment(key: str, value: object) -> str:
    """Check the name of one of Whop's environments."""
    if not isinstance(value, str) or value not in API_BASES:
        raise ConfigError(f"{key} must be production or sandbox; it is {repr_of(value)}.")
    return str(value)


def address(key: str, value: object) -> str:
    """An http address without a query; https, unless it's on this machine. What may be a password isn't repeated."""
    given = text(key, value).strip().rstrip("/")
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    plain = parts.scheme == "http" and _LOOPBACK.fullmatch(host)
    if not host or "@" in parts.netloc or parts.query or parts.fragment or not (parts.scheme == "https" or plain):
        raise ConfigError(
            f"{key} must be an address such as https://shop.example.com, without a query or a password; plain http is"
            f" for this machine alone. Its scheme is {repr_of(parts.scheme)}, its host {repr_of(host)}."
        )
    return given


def flag(key: str, value: object) -> bool:
    """Check that it is True or False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be True or False; it is {repr_of(value)}.")
    return value


def text(key: str, value: object) -> str:
    """Check that it is text."""
    if not isinstance(value, str) or not value.strip() or not _is_utf8(value):
        raise ConfigError(f"{key} must be text in UTF-8; it is {type(value).__name__}.")
    return value


def texts(key: str, value: object) -> tuple[str, ...]:
    """Check that it is text, or several texts."""
    if value is None:
        return ()
    texts = re.split(" *, *", value) if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{key} must be text, or a list of texts; it is {type(value).__name__}.")
    return tuple(texts)


def seconds(key: str, value: object) -> float:
    """Check a number of seconds."""
    return float(_number(key, value, "a number of seconds over 0"))


def tolerance(key: str, value: object) -> float:
    """Check how old a signature may be, in seconds."""
    wanted = f"a number of seconds over 0 and up to {_MAX_TOLERANCE} (Whop signs each retry again, so 300 is enough)"
    return float(_number(key, value, wanted, between=(_OVER_ZERO, _MAX_TOLERANCE)))


def keep_days(key: str, value: object) -> float:
    """Check for how many days deliveries are kept."""
    wanted = f"a number of days, {MIN_KEEP_DAYS} or more (Whop retries for about 3; a retry must not look new)"
    return float(_number(key, value, wanted, between=(MIN_KEEP_DAYS, _HIGHEST)))


def most_due(key: str, value: object) -> int | None:
    """Check how many deliveries may wait."""
    return None if value is None else size(key, value)


def health_path(key: str, value: object) -> str | None:
    """Check the path of a route that need not be."""
    return None if value is None else path(key, value)


def payload_days(key: str, value: object) -> float | None:
    """Check for how many days bodies are kept."""
    return None if value is None else float(_number(key, value, "a number of days over 0, or None"))


def size(key: str, value: object) -> int:
    """Check a whole number over 0."""
    return int(_number(key, value, "a whole number over 0", kinds=(int,)))


def _number(
    key: str,
    value: object,
    wanted: str,
    *,
    between: tuple[float, float] = (_OVER_ZERO, _HIGHEST),
    kinds: tuple[type[int | float], ...] = (int, float),
) -> float:
    low, high = between
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise ConfigError(f"{key} must be {wanted}; it is {repr_of(value)}.")
    return value


def _is_utf8(value: str) -> bool:
    """Whether it can be encoded: bytes of the environment that aren't UTF-8 arrive as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def repr_of(value: object) -> str:
    """Show a configured value in a message."""
    return shown(repr(value), _SHOWN)
