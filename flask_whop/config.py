"""The settings, read once at start: each field of :class:`Settings`, with its check, its default and its meaning."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from flask_whop.errors import ConfigError
from flask_whop.names import shown

_T = TypeVar("_T")
_MIN_SECRET_BYTES = 16
_MIN_DISTINCT = 5
_MAX_TOLERANCE = 86_400
_OVER_ZERO = math.ulp(0.0)
_HIGHEST = sys.float_info.max
_SHOWN = 80
_NEAR = 0.87
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1", re.ASCII)
_API_KEY = re.compile(r"[!-~]+", re.ASCII)
_ACCOUNT = re.compile(r"biz_[A-Za-z0-9_\-]+", re.ASCII)
_PLACEHOLDERS = re.compile(
    r"fallback|secret|changeme|test|testing|password|placeholder|example|todo|none|null|undefined|dummy"
    r"|(ws)?(my|your|the)?(whop)?(webhook)?(signing)?(secret|key)(here)?",
)
_WHERE = (
    "Whop shows it once, when a webhook is created: ws_ and 64 hex digits, which all belong to it. Put it in app.config"
    " or in the environment variable of that name before you set up WhopWebhooks."
)

NAME: Final = "whop"
"""The name of the blueprint (so the endpoint is ``whop.receive``), the extension and the command group."""

API_BASES: Final = {
    "production": "https://api.whop.com/api/v1",
    "sandbox": "https://sandbox-api.whop.com/api/v1",
}
"""The base address of Whop's API in each environment."""

DEFAULT_STORE = "sqlite:///whop.sqlite3"
MIN_KEEP_DAYS = 4


class Mode(str, Enum):
    """When receivers run."""

    INLINE = "inline"
    """Before the answer, which tells Whop the result; the retry is Whop's."""
    AFTER_RESPONSE = "after_response"
    """After the answer, in the process that gave it."""
    WORKER = "worker"
    """In ``flask whop work``."""
    CELERY = "celery"
    """In a Celery task."""

    @property
    def owned(self) -> bool:
        """Whether deliveries are owned, that is, whether their retry becomes ours when they're accepted."""
        return self is not Mode.INLINE


# Checks: each takes the key and the configured value, and returns the setting or raises ConfigError.


def _secrets(key: str, value: object) -> tuple[str, ...]:
    secrets = _texts(key, value)
    if not secrets and not _is_for_a_command():
        raise ConfigError(no_secret(key))
    for index, secret in enumerate(secrets):
        problem = problem_of(secret)
        if problem:
            raise ConfigError(f"{key if len(secrets) == 1 else f'{key}[{index}]'} {problem}. {_WHERE}")
    return secrets


def no_secret(key: str) -> str:
    """Say that there is no secret, and what to do."""
    return f"{key} is not set. {_WHERE}"


def _is_for_a_command() -> bool:
    """Whether the app is loaded for a command of ours, which may be the one that gets its first secret.

    Without a secret, every request is refused.
    """
    if os.environ.get("FLASK_RUN_FROM_CLI") != "true":
        return False
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        if argument in ("-A", "--app", "-e", "--env-file"):
            next(arguments, None)
        elif not argument.startswith("-"):
            return argument == NAME
    return False


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


def _path(key: str, value: object) -> str:
    if (
        not isinstance(value, str)
        or not value.startswith("/")
        or re.search(r"[<>?#\s]", value)
        or not value.isprintable()
    ):
        raise ConfigError(f"{key} must be a path such as /webhooks/whop; it is {_repr(value)}.")
    return value


def _host(key: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ConfigError(
            f"{key} must be a host such as hooks.example.com, with the port unless it is 80 or 443; it is"
            f" {_repr(value)}."
        )
    return value.lower()


def _accounts(key: str, value: object) -> frozenset[str]:
    accounts = _texts(key, value)
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError(
                f"{key} must be account ids (biz_ and then letters and digits), as a list or separated by commas; one"
                f" is {_repr(account)}. Leave the setting out to take the events of all accounts."
            )
    return frozenset(accounts)


def _endpoint(key: str, value: object) -> str:
    text = _text(key, value)
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", text):
        raise ConfigError(f"{key} must be up to 64 letters, digits and _ - . ; it is {_repr(text)}.")
    return text


def _mode(key: str, value: object) -> Mode:
    try:
        return Mode(value)
    except ValueError:
        modes = ", ".join(mode.value for mode in Mode)
        raise ConfigError(f"{key} must be one of {modes}; it is {_repr(value)}.") from None


def _queue(key: str, value: object) -> str | None:
    return _text(key, value) if value else None


def _api_key(key: str, value: object) -> str:
    text = _text(key, value).strip()
    if not _API_KEY.fullmatch(text):
        raise ConfigError(
            f"{key} has white space, a line break or letters outside ASCII in it: it must be the API key just as Whop's"
            " dashboard shows it."
        )
    return text


def _environment(key: str, value: object) -> str:
    if not isinstance(value, str) or value not in API_BASES:
        raise ConfigError(f"{key} must be production or sandbox; it is {_repr(value)}.")
    return str(value)


def address(key: str, value: object) -> str:
    """An http address without a query; https, unless it's on this machine. What may be a password isn't repeated."""
    text = _text(key, value).strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    plain = parts.scheme == "http" and _LOOPBACK.fullmatch(host)
    if not host or "@" in parts.netloc or parts.query or parts.fragment or not (parts.scheme == "https" or plain):
        raise ConfigError(
            f"{key} must be an address such as https://shop.example.com, without a query or a password; plain http is"
            f" for this machine alone. Its scheme is {_repr(parts.scheme)}, its host {_repr(host)}."
        )
    return text


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be True or False; it is {_repr(value)}.")
    return value


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not _is_utf8(value):
        raise ConfigError(f"{key} must be text in UTF-8; it is {type(value).__name__}.")
    return value


def _texts(key: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = re.split(" *, *", value) if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{key} must be text, or a list of texts; it is {type(value).__name__}.")
    return tuple(texts)


def _seconds(key: str, value: object) -> float:
    return float(_number(key, value, "a number of seconds over 0"))


def _tolerance(key: str, value: object) -> float:
    wanted = f"a number of seconds over 0 and up to {_MAX_TOLERANCE} (Whop signs each retry again, so 300 is enough)"
    return float(_number(key, value, wanted, between=(_OVER_ZERO, _MAX_TOLERANCE)))


def _keep_days(key: str, value: object) -> float:
    wanted = f"a number of days, {MIN_KEEP_DAYS} or more (Whop retries for about 3; a retry must not look new)"
    return float(_number(key, value, wanted, between=(MIN_KEEP_DAYS, _HIGHEST)))


def _most_due(key: str, value: object) -> int | None:
    return None if value is None else _size(key, value)


def _health_path(key: str, value: object) -> str | None:
    return None if value is None else _path(key, value)


def _payload_days(key: str, value: object) -> float | None:
    return None if value is None else float(_number(key, value, "a number of days over 0, or None"))


def _size(key: str, value: object) -> int:
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
        raise ConfigError(f"{key} must be {wanted}; it is {_repr(value)}.")
    return value


def _is_utf8(value: str) -> bool:
    """Whether it can be encoded: bytes of the environment that aren't UTF-8 arrive as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _repr(value: object) -> str:
    return shown(repr(value), _SHOWN)


# The settings.


def _setting(default: _T, check: Callable[[str, object], object], *, repr: bool = True) -> _T:  # noqa: A002  # dataclass's word
    return field(default=default, repr=repr, metadata={"check": check})


@dataclass(frozen=True, slots=True)
class Settings:
    """The app's settings. Each field's documentation begins with its key in ``app.config``."""

    secrets: tuple[str, ...] = field(repr=False, metadata={"check": _secrets})
    """``WHOP_WEBHOOK_SECRET``: The webhook's secret, whole, as Whop shows it.

    Several, for a rotation or a second webhook, are a list, or one text with commas; all
    are tried. If it isn't in ``app.config``, it is read from the environment variable of
    the same name."""
    path: str = _setting("/webhooks/whop", _path)
    """``WHOP_WEBHOOK_PATH``: Where Whop delivers; a slash at the end makes no difference."""
    host: str | None = _setting(None, _host)
    """``WHOP_WEBHOOK_HOST``: The host of the route, for an app made with ``host_matching=True``, which needs it."""
    tolerance: float = _setting(300.0, _tolerance)
    """``WHOP_WEBHOOK_TOLERANCE``: How many seconds old, or early, a signature may be."""
    max_bytes: int = _setting(1_048_576, _size)
    """``WHOP_WEBHOOK_MAX_BYTES``: The largest body that is read, in bytes.

    It takes precedence over ``MAX_CONTENT_LENGTH``."""
    accounts: frozenset[str] = _setting(frozenset(), _accounts)
    """``WHOP_ACCOUNTS``: The only accounts (``biz_…``) whose events are taken, as a list, or one text with commas."""
    endpoint: str = _setting("app", _endpoint)
    """``WHOP_ENDPOINT``: Whose deliveries these are, if several apps share a database.

    The default is the last part of the app's import name."""
    store: str = _setting(DEFAULT_STORE, _text, repr=False)
    """``WHOP_STORE``: Where deliveries are kept: ``sqlite:///…``, ``postgresql://…``, ``mysql://…`` or ``memory://``.

    A relative SQLite file is in the instance folder. Under ``TESTING``, the default is
    ``memory://``."""
    store_pool_size: int = _setting(4, _size)
    """``WHOP_STORE_POOL_SIZE``: How many connections a process may have to PostgreSQL, MySQL or MariaDB."""
    store_pool_wait: float = _setting(3.0, _seconds)
    """``WHOP_STORE_POOL_WAIT``: How many seconds a thread waits for one of them, before the answer is 503."""
    dispatch: Mode = _setting(Mode.INLINE, _mode)  # noqa: RUF009  # it is immutable
    """``WHOP_DISPATCH``: When receivers run: ``inline``, ``after_response``, ``worker`` or ``celery``."""
    celery_queue: str | None = _setting(None, _queue)
    """``WHOP_CELERY_QUEUE``: The queue that tasks are sent to."""
    retry_first: float = _setting(10.0, _seconds)
    """``WHOP_RETRY_FIRST``: How many seconds we wait before our first retry; the wait doubles each time."""
    retry_longest: float = _setting(3600.0, _seconds)
    """``WHOP_RETRY_LONGEST``: The longest wait between two of our retries, in seconds."""
    retry_for: float = _setting(86_400.0, _seconds)
    """``WHOP_RETRY_FOR``: How many seconds we keep trying.

    They count from the first try since the delivery arrived or was replayed."""
    longest_call: float = _setting(3600.0, _seconds)
    """``WHOP_LONGEST_CALL``: How many seconds a receiver's call may hold a delivery before it is retried elsewhere."""
    most_due: int | None = _setting(None, _most_due)
    """``WHOP_MOST_DUE``: How many deliveries may wait to be run before the answer is 503, so Whop keeps the rest."""
    health_path: str | None = _setting(None, _health_path)
    """``WHOP_HEALTH_PATH``: The path of a route that answers 200 if deliveries are taken and run, and 503 if not."""
    keep_days: float = _setting(30.0, _keep_days)
    """``WHOP_KEEP_DAYS``: How many days deliveries are kept; at least 4, since Whop retries for 3."""
    keep_payloads: bool = _setting(True, _flag)  # noqa: FBT003  # what the setting is
    """``WHOP_KEEP_PAYLOADS``: Whether the bodies of done deliveries are kept."""
    keep_payload_days: float | None = _setting(None, _payload_days)
    """``WHOP_KEEP_PAYLOAD_DAYS``: How many days the bodies of done deliveries are kept, if not as long as the rest."""
    legacy_webhooks: bool = _setting(False, _flag)  # noqa: FBT003  # what the setting is
    """``WHOP_LEGACY_WEBHOOKS``: Whether webhooks of Whop's legacy format (v2, v5) are taken too.

    They have no id: of equal bodies, one is delivered."""

    @classmethod
    def read(cls, config: Mapping[str, Any], environ: Mapping[str, str], *, name: str = "app") -> Settings:
        """Read the settings of the app called ``name``.

        Raises :class:`~flask_whop.errors.ConfigError`, which names the setting and says
        what to do, and never repeats a secret.
        """
        implied = {
            "WHOP_WEBHOOK_SECRET": environ.get("WHOP_WEBHOOK_SECRET") or None,
            # "shop", whether it is imported as shop.shop or run by python -m shop.shop.
            "WHOP_ENDPOINT": re.sub(r"[^A-Za-z0-9_\-]", "_", name.rpartition(".")[2])[:64] or "app",
        }
        given = {**config, **{key: value for key, value in implied.items() if config.get(key) is None}}
        return cls(**_checked(cls, given))


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The settings of Whop's API, which commands and tasks read when they need it.

    Receiving needs none of them, so none can keep an app from starting. Each is read from
    ``app.config``, or else from the environment variable of that name.
    """

    api_key: str | None = _setting(None, _api_key, repr=False)
    """``WHOP_API_KEY``: The key for Whop's API, which ``sync``, ``pull``, ``listen`` and ``doctor --online`` need."""
    api_environment: str = _setting("production", _environment)
    """``WHOP_API_ENVIRONMENT``: Which of Whop's environments the key belongs to, ``production`` or ``sandbox``."""
    api_url: str | None = _setting(None, address)
    """``WHOP_API_URL``: Another base address of the API, such as that of a stand-in."""
    public_url: str | None = _setting(None, address)
    """``WHOP_PUBLIC_URL``: The address at which the world reaches the app, such as ``https://shop.example.com``."""

    @property
    def api_base(self) -> str:
        """The base address of Whop's API."""
        return self.api_url or API_BASES[self.api_environment]

    @classmethod
    def read(cls, config: Mapping[str, Any], environ: Mapping[str, str]) -> ApiSettings:
        """Read the settings; raise :class:`~flask_whop.errors.ConfigError` for one that's unusable."""
        given = {key: config.get(key) or environ.get(key) or None for key in API_KEYS}
        return cls(**_checked(cls, {key: value for key, value in given.items() if value is not None}))


def _checked(cls: type[Settings | ApiSettings], given: Mapping[str, object]) -> dict[str, Any]:
    """The values of the fields whose keys are given, each checked."""
    keys = {_key_of(setting.name): setting for setting in fields(cls)}
    return {setting.name: setting.metadata["check"](key, given[key]) for key, setting in keys.items() if key in given}


def _key_of(name: str) -> str:
    if name == "secrets":
        return "WHOP_WEBHOOK_SECRET"
    return f"WHOP_WEBHOOK_{name.upper()}" if name in _WITH_WEBHOOK else f"WHOP_{name.upper()}"


_WITH_WEBHOOK = {"path", "host", "tolerance", "max_bytes"}  # in their keys
KEYS: Final = tuple(_key_of(setting.name) for setting in fields(Settings))
"""The keys in ``app.config``, in the order of the fields."""
API_KEYS: Final = tuple(_key_of(setting.name) for setting in fields(ApiSettings))
"""The keys of the settings of Whop's API."""


def misspelled(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each key that resembles a setting but isn't one, with the setting it is nearest to.

    Keys that resemble none, such as a Whop API key, belong to other libraries.
    """
    for key in config:
        if key.startswith("WHOP_") and key not in (*KEYS, *API_KEYS):
            ending = [known for known in KEYS if known.endswith(key.removeprefix("WHOP"))]
            for nearest in (ending or get_close_matches(key, KEYS, 1, _NEAR))[:1]:
                yield key, nearest
