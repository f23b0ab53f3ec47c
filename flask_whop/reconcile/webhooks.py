"""The app's webhooks at Whop, and the client to reach them with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask_whop.checks import address
from flask_whop.errors import ConfigError, SetupError

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.pace import Pace
    from flask_whop.api.records import Webhook
    from flask_whop.engine.installation import Installation

_PORTS = {"https": 443, "http": 80}


def api_of(
    installation: Installation,
    *,
    pace: Pace | None = None,
    waiting: Callable[[float, str], object] = lambda _seconds, _reason: None,
) -> WhopApi:
    """Make the client for the app's API key; ``waiting`` is called before each wait, and ``pace`` waits.

    Raises :class:`~flask_whop.errors.ConfigError` without a key, and
    :class:`~flask_whop.errors.MissingExtraError` without httpx.
    """
    from flask_whop.api.client import WhopApi  # noqa: PLC0415  # an extra

    settings = installation.api_settings
    if settings.api_key is None:
        raise ConfigError(
            "WHOP_API_KEY is not set. Make a key in Whop's dashboard, under Developer, with the permission"
            " developer:manage_webhook, and put it in app.config or in the environment variable of that name."
        )
    return WhopApi(settings.api_key, settings.api_base, pace=pace, waiting=waiting)


def address_of(installation: Installation, url: str | None = None) -> str:
    """Return the address at which Whop delivers to the app: ``url``, or ``WHOP_PUBLIC_URL``, with the route's path.

    Raises :class:`~flask_whop.errors.ConfigError` if neither is given, or one is no address.
    """
    given = installation.api_settings.public_url if url is None else address("--url", url)
    if given is None:
        raise ConfigError(
            "WHOP_PUBLIC_URL is not set. Set it to the address at which the world reaches the app, such as"
            " https://shop.example.com, or pass --url."
        )
    path = installation.path.rstrip("/")
    return given if urlsplit(given).path.endswith(path) else f"{given}{path}"


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are the same route: a host's case, a default port and a last slash make no difference."""
    return _normal(one) == _normal(other)


def _normal(address: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(address.strip())
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return (address,)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/"), parts.query


def webhooks_at(api: WhopApi, address: str, resource_id: str | None = None) -> list[Webhook]:
    """Return the webhooks that deliver to an address, all of them or those of one account or app."""
    account_id = resource_id if resource_id is not None and resource_id.startswith("biz_") else None
    return [
        webhook
        for webhook in api.webhooks(account_id)
        if same_address(webhook.url, address) and resource_id in (None, webhook.resource_id)
    ]


def chosen(
    installation: Installation, api: WhopApi, webhook_ids: Sequence[str] = (), url: str | None = None
) -> list[Webhook]:
    """Return the webhooks of these ids, or those that deliver to the app.

    Raises :class:`~flask_whop.errors.SetupError` if there are none.
    """
    if webhook_ids:
        return [api.webhook(webhook_id) for webhook_id in webhook_ids]
    delivers_to = address_of(installation, url)
    found = webhooks_at(api, delivers_to)
    if not found:
        raise SetupError(
            f"No webhook at Whop delivers to {delivers_to}. `flask whop sync` creates one; --webhook names another."
        )
    return found
