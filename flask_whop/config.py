"""The settings, read once at start."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final

from flask_whop.errors import ConfigError
from flask_whop.names import shown

_MIN_SECRET_BYTES = 16
_MAX_TOLERANCE = 86_400
_MIN_DISTINCT = 5
_SHOWN = 80
_NEAR = 0.87
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)
_ACCOUNT = re.compile(r"biz_[A-Za-z0-9_\-]+", re.ASCII)
_PLACEHOLDERS = re.compile(
    r"fallback|secret|changeme|test|testing|password|placeholder|example|todo|none|null|undefined|dummy"
    r"|(ws)?(my|your|the)?(whop)?(webhook)?(signing)?(secret|key)(here)?",
)
_WHERE = (
    "Whop shows it once, when a webhook is created: ws_ and 64 hex digits, all of which belong to it. Put it in"
    " app.config or in the environment variable of that name, before WhopWebhooks is set up."
)

NAME: Final = "whop"
"""The name of the blueprint (so the endpoint is ``whop.receive``), the extension and the command group."""

DEFAULT_STORE = "sqlite:///whop.sqlite3"
MIN_KEEP_DAYS = 4


class Mode(str, Enum):
    """When receivers run."""

    INLINE = "inline"
    """Before the answer, which tells Whop how it went; the retry is Whop's."""
    AFTER_RESPONSE = "after_response"
    """After the answer, on the worker that gave it."""
    WORKER = "worker"
    """In ``flask whop work``."""
    CELERY = "celery"
    """In a Celery task."""

    @property
    def owned(self) -> bool:
        """Whether deliveries are owned, that is, whether their retry becomes ours when they're accepted."""
        return self is not Mode.INLINE


@dataclass(frozen=True, slots=True)
class Settings:
    """What the app's configuration says."""

    secrets: tuple[str, ...] = field(repr=False)
    """``WHOP_WEBHOOK_SECRET``: the secret of the webhook, or several of them in a list.

    All are tried in turn: for the time of a rotation, and for platforms with two
    webhooks. As one text, several are separated by commas."""
    path: str = "/webhooks/whop"
    """``WHOP_WEBHOOK_PATH``: where Whop delivers to."""
    host: str | None = None
    """``WHOP_WEBHOOK_HOST``: the host of the route, in an app that was made with ``host_matching=True``."""
    tolerance: float = 300.0
    """``WHOP_WEBHOOK_TOLERANCE``: how many seconds old, or early, a signature may be."""
    max_bytes: int = 1_048_576
    """``WHOP_WEBHOOK_MAX_BYTES``: the size of the largest body that is read."""
    accounts: frozenset[str] = frozenset()
    """``WHOP_ACCOUNTS``: the only accounts (``biz_…``) whose events are taken; all if none are listed.

    As one text, several are separated by commas."""

    endpoint: str = "app"
    """``WHOP_ENDPOINT``: whose deliveries these are, where several apps share a database.

    The last part of the app's name where it is left out."""
    store: str = field(default=DEFAULT_STORE, repr=False)
    """``WHOP_STORE``: where deliveries are kept: ``memory://``, or the URL of a database.

    A SQLite file of a relative path stands in the instance folder."""
    store_pool_size: int = 4
    """``WHOP_STORE_POOL_SIZE``: how many connections a process may have to PostgreSQL, MySQL or MariaDB."""
    store_pool_wait: float = 3.0
    """``WHOP_STORE_POOL_WAIT``: how many seconds a thread waits for one of them, before Whop is asked to retry."""
    dispatch: Mode = Mode.INLINE
    """``WHOP_DISPATCH``: when receivers run: ``inline``, ``after_response``, ``worker`` or ``celery``."""
    celery_queue: str | None = None
    """``WHOP_CELERY_QUEUE``: the queue that tasks are sent to; Celery's own routing where it is left out."""
    retry_first: float = 10.0
    """``WHOP_RETRY_FIRST``: how many seconds after a first failure we try again; then twice as many, and so on."""
    retry_longest: float = 3600.0
    """``WHOP_RETRY_LONGEST``: the longest wait between two tries of ours, in seconds."""
    retry_for: float = 86_400.0
    """``WHOP_RETRY_FOR``: how many seconds we go on trying."""
    longest_call: float = 3600.0
    """``WHOP_LONGEST_CALL``: how many seconds one call of a receiver may hold a delivery."""
    keep_days: float = 30.0
    """``WHOP_KEEP_DAYS``: how many days deliveries are kept; at least 4, since Whop retries for three."""
    keep_payloads: bool = True
    """``WHOP_KEEP_PAYLOADS``: whether their bodies are kept when they are done."""

    @classmethod
    def read(cls, config: Mapping[str, Any], environ: Mapping[str, str], *, name: str = "app") -> Settings:
        """Read the settings of the app called ``name``.

        Raises :class:`~flask_whop.errors.ConfigError`, which names the setting and says
        what to do, and never repeats a secret.
        """
        return cls(
            secrets=_secrets(config, environ),
            path=_path(config.get("WHOP_WEBHOOK_PATH", "/webhooks/whop")),
            host=_host(config.get("WHOP_WEBHOOK_HOST")),
            tolerance=_tolerance(config.get("WHOP_WEBHOOK_TOLERANCE", 300)),
            max_bytes=_size("WHOP_WEBHOOK_MAX_BYTES", config.get("WHOP_WEBHOOK_MAX_BYTES", 1_048_576)),
            accounts=_accounts(config.get("WHOP_ACCOUNTS")),
            endpoint=_endpoint(config.get("WHOP_ENDPOINT"), name),
            store=_text("WHOP_STORE", config.get("WHOP_STORE", DEFAULT_STORE)),
            store_pool_size=_size("WHOP_STORE_POOL_SIZE", config.get("WHOP_STORE_POOL_SIZE", 4)),
            store_pool_wait=_seconds("WHOP_STORE_POOL_WAIT", config.get("WHOP_STORE_POOL_WAIT", 3)),
            dispatch=_mode(config.get("WHOP_DISPATCH", "inline")),
            celery_queue=_text("WHOP_CELERY_QUEUE", queue) if (queue := config.get("WHOP_CELERY_QUEUE")) else None,
            retry_first=_seconds("WHOP_RETRY_FIRST", config.get("WHOP_RETRY_FIRST", 10)),
            retry_longest=_seconds("WHOP_RETRY_LONGEST", config.get("WHOP_RETRY_LONGEST", 3600)),
            retry_for=_seconds("WHOP_RETRY_FOR", config.get("WHOP_RETRY_FOR", 86_400)),
            longest_call=_seconds("WHOP_LONGEST_CALL", config.get("WHOP_LONGEST_CALL", 3600)),
            keep_days=_keep_days(config.get("WHOP_KEEP_DAYS", 30)),
            keep_payloads=_flag("WHOP_KEEP_PAYLOADS", config.get("WHOP_KEEP_PAYLOADS", True)),
        )


_FIRST_WORDS = {"secrets": "WHOP_WEBHOOK_SECRET"} | {
    name: f"WHOP_WEBHOOK_{name.upper()}" for name in ("path", "host", "tolerance", "max_bytes")
}
KEYS: Final = tuple(_FIRST_WORDS.get(one.name, f"WHOP_{one.name.upper()}") for one in fields(Settings))
"""The keys in ``app.config``, in the order of the fields."""


def strangers(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys that look like settings and are none, each with the setting that it is nearest to.

    Keys of other libraries, such as that of an API, are near to none.
    """
    for key in config:
        if key.startswith("WHOP_") and key not in KEYS:
            ending = [known for known in KEYS if known.endswith(key.removeprefix("WHOP"))]
            for nearest in (ending or get_close_matches(key, KEYS, 1, _NEAR))[:1]:
                yield key, nearest


def _secrets(config: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, ...]:
    key = "WHOP_WEBHOOK_SECRET"
    configured = config.get(key)
    secrets = _texts(key, environ.get(key) or None if configured is None else configured)
    if not secrets:
        raise ConfigError(f"{key} is not set. {_WHERE}")
    for index, secret in enumerate(secrets):
        name = key if len(secrets) == 1 else f"{key}[{index}]"
        fault = _fault(secret)
        if fault:
            raise ConfigError(f"{name} {fault}. {_WHERE}")
    return secrets


def _fault(secret: str) -> str | None:  # noqa: PLR0911  # a list of checks, one a line
    if not _is_text(secret):
        return "is no UTF-8"
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


def _accounts(value: object) -> frozenset[str]:
    accounts = _texts("WHOP_ACCOUNTS", value)
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError(
                "WHOP_ACCOUNTS has to be ids of accounts, biz_ and letters and digits, as a list or with commas"
                f" between them; one is {_repr(account)}. Leave the setting out to take the events of all."
            )
    return frozenset(accounts)


def _texts(key: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    values = re.split(" *, *", value) if isinstance(value, str) else value
    if not isinstance(values, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in values):
        raise ConfigError(f"{key} has to be text, or a list of texts; it is {type(value).__name__}.")
    return tuple(values)


def _is_text(value: str) -> bool:
    """Whether it can be written in UTF-8: the environment gives bytes that are none as halves of characters."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _repr(value: object) -> str:
    return shown(repr(value), _SHOWN)


def _path(value: object) -> str:
    if (
        not isinstance(value, str)
        or not value.startswith("/")
        or re.search(r"[<>?#\s]", value)
        or not value.isprintable()
    ):
        raise ConfigError(f"WHOP_WEBHOOK_PATH has to be a path such as /webhooks/whop; it is {_repr(value)}.")
    return value


def _host(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ConfigError(
            "WHOP_WEBHOOK_HOST has to be a host such as hooks.example.com, with its port if that is none of the usual"
            f" ones; it is {_repr(value)}."
        )
    return value.lower()


def _tolerance(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MAX_TOLERANCE:
        raise ConfigError(
            f"WHOP_WEBHOOK_TOLERANCE has to be a number of seconds, over 0 and up to {_MAX_TOLERANCE};"
            f" it is {_repr(value)}. Whop signs anew at each retry, so that 300 fits any clock that is set."
        )
    return float(value)


def _size(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigError(f"{key} has to be a whole number over 0; it is {_repr(value)}.")
    return value


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not _is_text(value):
        raise ConfigError(f"{key} has to be text in UTF-8; it is {type(value).__name__}.")
    return value


def _endpoint(value: object, name: str) -> str:
    if value is None:
        # shop, whether it is imported as shop.shop or run by python -m shop.shop.
        return re.sub(r"[^A-Za-z0-9_\-]", "_", name.rpartition(".")[2])[:64] or "app"
    text = _text("WHOP_ENDPOINT", value)
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", text):
        raise ConfigError(f"WHOP_ENDPOINT has to be up to 64 letters, digits and _ - . ; it is {_repr(text)}.")
    return text


def _mode(value: object) -> Mode:
    try:
        return Mode(value)
    except ValueError:
        modes = ", ".join(mode.value for mode in Mode)
        raise ConfigError(f"WHOP_DISPATCH has to be one of {modes}; it is {_repr(value)}.") from None


def _seconds(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigError(f"{key} has to be a number of seconds over 0; it is {_repr(value)}.")
    return float(value)


def _keep_days(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not MIN_KEEP_DAYS <= value < math.inf:
        raise ConfigError(
            f"WHOP_KEEP_DAYS has to be a number of days, {MIN_KEEP_DAYS} or more; it is {_repr(value)}. Whop retries"
            " for about 3 days, and what is forgotten sooner is taken for new when it comes again."
        )
    return float(value)


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{key} has to be True or False; it is {_repr(value)}.")
    return value
