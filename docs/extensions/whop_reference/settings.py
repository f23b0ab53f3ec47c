"""The page of the settings, from their fields and the docstrings below these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from enum import Enum
from typing import Any, Final

from flask_whop.config import API_KEYS, KEYS, ApiSettings, Settings

from whop_reference.text import attribute_docs, in_line

IN_WORDS: Final = {
    "WHOP_WEBHOOK_SECRET": "required",
    "WHOP_WEBHOOK_HOST": "none",
    "WHOP_ACCOUNTS": "all",
    "WHOP_ENDPOINT": "the app's name",
    "WHOP_CELERY_QUEUE": "Celery's own routing",
    "WHOP_MOST_DUE": "no limit",
    "WHOP_HEALTH_PATH": "none",
    "WHOP_KEEP_PAYLOAD_DAYS": "as the rest",
    "WHOP_API_KEY": "none",
    "WHOP_API_URL": "none",
    "WHOP_PUBLIC_URL": "none",
}
"""Defaults that need a word, because the value is None or empty, or says nothing."""

_TOP = """\
# Settings

Settings are read from `app.config`, once, when `WhopWebhooks(app)` or `init_app` runs. Flask's
`app.config.from_prefixed_env()` fills it from environment variables such as `FLASK_WHOP_DISPATCH`. The log names any
key that resembles a setting but isn't one. A value that could never work is a `ConfigError` at start.

## Receiving
"""

_API = """
## Whop's API

The commands and tasks that call Whop read these when they need them, each from `app.config` or else from the
environment variable of the same name. Receiving needs none of them, so none can keep an app from starting.
"""


def page() -> str:
    """Return the page."""
    return _TOP + "".join(_entries(Settings, KEYS)) + _API + "".join(_entries(ApiSettings, API_KEYS))


def _entries(cls: type[Settings | ApiSettings], keys: tuple[str, ...]) -> Iterator[str]:
    docs = attribute_docs(cls)
    for key, field in zip(keys, fields(cls), strict=True):
        _, _, meaning = in_line(docs[field.name]).partition(": ")
        yield f"\n```{{confval}} {key}\n:default: {default_of(key, field)}\n\n{meaning}\n```\n"


def default_of(key: str, field: Field[Any]) -> str:
    """Return the default as the page shows it."""
    if key in IN_WORDS:
        return IN_WORDS[key]
    if field.default is MISSING:
        raise LookupError(f"{key} has no default, and no word for it in IN_WORDS.")
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{value:.10g}`" if isinstance(value, float) else f"`{value}`"
