"""The settings, read once at start: each field of :class:`Settings`, with its check, its default and its meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, TypeVar

from flask_whop import checks
from flask_whop.checks import API_BASES as API_BASES
from flask_whop.checks import MIN_KEEP_DAYS as MIN_KEEP_DAYS
from flask_whop.checks import NAME as NAME
from flask_whop.errors import ConfigError
from flask_whop.logs import log

_T = TypeVar("_T")
_NEAR = 0.87

DEFAULT_STORE = "sqlite:///whop.sqlite3"


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


def _mode(key: str, value: object) -> Mode:
    try:
        return Mode(value)
    except ValueError:
        modes = ", ".join(mode.value for mode in Mode)
        raise ConfigError(f"{key} must be one of {modes}; it is {checks.repr_of(value)}.") from None


def _setting(default: _T, check: Callable[[str, object], object], *, repr: bool = True) -> _T:  # noqa: A002  # dataclass's word
    return field(default=default, repr=repr, metadata={"check": check})


@dataclass(frozen=True, slots=True)
class Settings:
    """The app's settings. Each field's documentation begins with its key in ``app.config``."""

    secrets: tuple[str, ...] = field(repr=False, metadata={"check": checks.secrets})
    """``WHOP_WEBHOOK_SECRET``: The webhook's secret, whole, as Whop shows it.

    Several, for a rotation or a second webhook, are a list, or one text with commas; all
    are tried. If it isn't in ``app.config``, it is read from the environment variable of
    the same name. Under ``TESTING``, the default is a random one."""
    path: str = _setting("/webhooks/whop", checks.path)
    """``WHOP_WEBHOOK_PATH``: Where Whop delivers; a slash at the end makes no difference."""
    host: str | None = _setting(None, checks.host)
    """``WHOP_WEBHOOK_HOST``: The host of the route, for an app made with ``host_matching=True``, which needs it."""
    tolerance: float = _setting(300.0, checks.tolerance)
    """``WHOP_WEBHOOK_TOLERANCE``: How many seconds old, or early, a signature may be."""
    max_bytes: int = _setting(1_048_576, checks.size)
    """``WHOP_WEBHOOK_MAX_BYTES``: The largest body that is read, in bytes.

    It takes precedence over ``MAX_CONTENT_LENGTH``."""
    accounts: frozenset[str] = _setting(frozenset(), checks.accounts)
    """``WHOP_ACCOUNTS``: The only accounts (``biz_…``) whose events are taken, as a list, or one text with commas."""
    endpoint: str = _setting("app", checks.endpoint)
    """``WHOP_ENDPOINT``: Whose deliveries these are, if several apps share a database.

    The default is the last part of the app's import name."""
    store: str = _setting(DEFAULT_STORE, checks.text, repr=False)
    """``WHOP_STORE``: Where deliveries are kept: ``sqlite:///…``, ``postgresql://…``, ``mysql://…`` or ``memory://``.

    A relative SQLite file is in the instance folder. Under ``TESTING``, the default is
    ``memory://``."""
    store_pool_size: int = _setting(4, checks.size)
    """``WHOP_STORE_POOL_SIZE``: How many connections a process may have to PostgreSQL, MySQL or MariaDB."""
    store_pool_wait: float = _setting(3.0, checks.seconds)
    """``WHOP_STORE_POOL_WAIT``: How many seconds a thread waits for one of them, before the answer is 503."""
    dispatch: Mode = _setting(Mode.INLINE, _mode)  # noqa: RUF009  # it is immutable
    """``WHOP_DISPATCH``: When receivers run: ``inline``, ``after_response``, ``worker`` or ``celery``."""
    celery_queue: str | None = _setting(None, checks.queue)
    """``WHOP_CELERY_QUEUE``: The queue that tasks are sent to."""
    retry_first: float = _setting(10.0, checks.seconds)
    """``WHOP_RETRY_FIRST``: How many seconds we wait before our first retry; the wait doubles each time."""
    retry_longest: float = _setting(3600.0, checks.seconds)
    """``WHOP_RETRY_LONGEST``: The longest wait between two of our retries, in seconds."""
    retry_for: float = _setting(86_400.0, checks.seconds)
    """``WHOP_RETRY_FOR``: How many seconds we keep trying.

    They count from the first try since the delivery arrived or was replayed."""
    longest_call: float = _setting(3600.0, checks.seconds)
    """``WHOP_LONGEST_CALL``: How many seconds a receiver's call may hold a delivery before it is retried elsewhere."""
    most_due: int | None = _setting(None, checks.most_due)
    """``WHOP_MOST_DUE``: How many deliveries may wait to be run before the answer is 503, so Whop keeps the rest."""
    health_path: str | None = _setting(None, checks.health_path)
    """``WHOP_HEALTH_PATH``: The path of a route that answers 200 if deliveries are taken and run, and 503 if not."""
    keep_days: float = _setting(30.0, checks.keep_days)
    """``WHOP_KEEP_DAYS``: How many days deliveries are kept; at least 4, since Whop retries for 3."""
    keep_payloads: bool = _setting(True, checks.flag)  # noqa: FBT003  # what the setting is
    """``WHOP_KEEP_PAYLOADS``: Whether the bodies of done deliveries are kept."""
    keep_payload_days: float | None = _setting(None, checks.payload_days)
    """``WHOP_KEEP_PAYLOAD_DAYS``: How many days the bodies of done deliveries are kept, if not as long as the rest."""
    legacy_webhooks: bool = _setting(False, checks.flag)  # noqa: FBT003  # what the setting is
    """``WHOP_LEGACY_WEBHOOKS``: Whether webhooks of Whop's legacy format (v2, v5) are taken too.

    They have no id: of equal bodies, one is delivered."""

    @classmethod
    def read(cls, config: Mapping[str, Any], environ: Mapping[str, str], *, name: str = "app") -> Settings:
        """Read the settings of the app called ``name``.

        Raises :class:`~flask_whop.errors.ConfigError`, which names the setting and says
        what to do, and never repeats a secret.
        """
        secret = environ.get("WHOP_WEBHOOK_SECRET") or None
        if secret is None and config.get("WHOP_WEBHOOK_SECRET") is None and config.get("TESTING"):
            log.warning("TESTING is on and WHOP_WEBHOOK_SECRET isn't set: only the test kit can sign deliveries.")
            secret = checks.new_secret()
        implied = {
            "WHOP_WEBHOOK_SECRET": secret,
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

    api_key: str | None = _setting(None, checks.api_key, repr=False)
    """``WHOP_API_KEY``: The key for Whop's API, which ``sync``, ``pull``, ``listen`` and ``doctor --online`` need."""
    api_environment: str = _setting("production", checks.environment)
    """``WHOP_API_ENVIRONMENT``: Which of Whop's environments the key belongs to, ``production`` or ``sandbox``."""
    api_url: str | None = _setting(None, checks.address)
    """``WHOP_API_URL``: Another base address of the API, such as that of a stand-in."""
    public_url: str | None = _setting(None, checks.address)
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


def unread(config: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """Return the settings that are in the environment alone, where nobody reads them: all but the secret's."""
    return [key for key in KEYS[1:] if key in environ and key not in config]
