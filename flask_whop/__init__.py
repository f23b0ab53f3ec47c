"""Whop's webhooks for Flask: verified, typed, and sent as Blinker signals.

What you import is here and in :mod:`flask_whop.signals`, :mod:`flask_whop.events`,
:mod:`flask_whop.errors`, :mod:`flask_whop.stores` (with ``.sqlalchemy`` and
``.sqlite``), :mod:`flask_whop.testing`, :mod:`flask_whop.inbox`,
:mod:`flask_whop.prometheus`, :mod:`flask_whop.opentelemetry`, and
:class:`flask_whop.config.Settings`. All other modules are internal, and may change in any
release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_whop.lazy import lazy

if TYPE_CHECKING:
    from flask_whop.errors import ConfigError, FlaskWhopError, GiveUp, RetryLater
    from flask_whop.extension import WhopWebhooks
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "flask_whop.errors": "ConfigError FlaskWhopError GiveUp RetryLater",
            "flask_whop.extension": "WhopWebhooks",
        },
        "config errors events signals stores testing",
    )

__all__ = ["ConfigError", "FlaskWhopError", "GiveUp", "RetryLater", "WhopWebhooks"]
