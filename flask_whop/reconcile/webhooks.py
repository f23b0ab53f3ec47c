"""The app's webhooks at Whop, and the client to reach them with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask_whop.errors import ConfigError, SetupError

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import Webhook
    from flask_whop.engine.installation import Installation

_PORTS = {"https": 443, "http": 80}


def api_of(
    installation: Installation, *, waiting: Callable[[float, str], object] = lambda _seconds, _reason: None
) -> WhopApi:
    """Make the client for the app's API key; ``waiting`` is called before each wait.

    Raises :class:`~flask_whop.errors.ConfigError` without a key, and
    :class:`~flask_whop.errors.MissingExtraError` without httpx.
    """
    from flask_whop.api.client import WhopApi  # noqa: PLC0415  # an extra

    settings = installation.settings
    if settings.api_key is None:
        raise ConfigError(
            "WHOP_API_KEY is not set. Make a key in Whop's dashboard, under Developer, with the permission"
            " developer:manage_webhook, and put it in app.config or in the environment variable of that name."
        )
    return WhopApi(settings.api_key, settings.api_base, waiting=waiting)


def address_of(installation: Installation, url: str | None = None) -> str:
    """Return the address at which Whop delivers to the app: ``url``, or ``WHOP_PUBLIC_URL``, with the route's path.

    Raises :class:`~flask_whop.errors.ConfigError` if neither is given.
    """
    given = url or installation.settings.public_url
    if given is None:
        raise ConfigError(
            "WHOP_PUBLIC_URL is not set. Set it to the address at which the world reaches the app, such as"
            " https://shop.example.com, or pass --url."
        )
    if urlsplit(given).scheme not in _PORTS:
        raise ConfigError("--url must be an address such as https://shop.example.com.")
    base, path = given.rstrip("/"), installation.settings.path.rstrip("/")
    return base if urlsplit(base).path.endswith(path) else f"{base}{path}"


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are the same route: their case, default port and last slash make no difference."""
    return _normal(one) == _normal(other)


def _normal(address: str) -> tuple[str, str | None, int | None, str, str]:
    parts = urlsplit(address.strip())
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname, port or _PORTS.get(parts.scheme), parts.path.rstrip("/"), parts.query


def webhooks_at(api: WhopApi, address: str) -> list[Webhook]:
    """Return the webhooks that deliver to an address."""
    return [webhook for webhook in api.webhooks() if same_address(webhook.url, address)]


def chosen(
    installation: Installation, api: WhopApi, webhook_ids: Sequence[str] = (), url: str | None = None
) -> list[Webhook]:
    """Return the webhooks of these ids, or those that deliver to the app.

    Raises :class:`~flask_whop.errors.SetupError` if there are none.
    """
    if webhook_ids:
        return [api.webhook(webhook_id) for webhook_id in webhook_ids]
    address = address_of(installation, url)
    found = webhooks_at(api, address)
    if not found:
        raise SetupError(
            f"No webhook at Whop delivers to {address}. `flask whop sync` creates one; --webhook names another."
        )
    return found
