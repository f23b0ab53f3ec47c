"""Whop's webhooks for Flask: verified, typed, and sent as Blinker signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_whop import signals
from flask_whop.errors import ConfigError as ConfigError
from flask_whop.errors import FlaskWhopError as FlaskWhopError
from flask_whop.errors import GiveUp as GiveUp
from flask_whop.errors import RetryLater as RetryLater
from flask_whop.extension import WhopWebhooks as WhopWebhooks
from flask_whop.receivers import AppSignal

if TYPE_CHECKING:
    from flask_whop.signals import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Find a signal: ``from flask_whop import payment_succeeded``."""
    signal = getattr(signals, name, None)
    if isinstance(signal, AppSignal):
        return signal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
