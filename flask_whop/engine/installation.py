"""All that serves one app, built once and passed on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_whop.checks import no_secret
from flask_whop.config import DEFAULT_STORE, NAME, ApiSettings
from flask_whop.engine.bodies import Cipher
from flask_whop.engine.engine import Engine
from flask_whop.engine.host import Host
from flask_whop.errors import ConfigError, SetupError, StoreUnavailable
from flask_whop.logs import log
from flask_whop.signature import Verifier
from flask_whop.stores import Filter, MemoryStore, Store, store_for

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse

    from flask_whop.config import Settings
    from flask_whop.signals.subscriptions import Subscription
    from flask_whop.signature import SignedRequest

_MOST_LAYERS = 20
_COMPARED = 200
_BEFORE_AND_AFTER = 2


@dataclass(frozen=True, eq=False)
class Installation:
    """The parts that serve one app."""

    app: Flask
    settings: Settings
    verifier: Verifier
    engine: Engine
    subscriptions: list[Subscription]
    """Those of the extension, which may serve several apps."""

    @classmethod
    def build(
        cls,
        app: Flask,
        settings: Settings,
        store: Store | None,
        subscriptions: list[Subscription],
        cipher: Cipher | None = None,
    ) -> Installation:
        """Build the parts that serve ``app``; ``store`` overrides ``WHOP_STORE``.

        Raises :class:`~flask_whop.errors.ConfigError`.
        """
        used = _store_for(app, settings) if store is None else store
        used.open(owned=settings.dispatch.owned, keep_bodies=settings.keep_payloads)
        on_default_file = store is None and settings.store == DEFAULT_STORE
        engine = Engine(Host(app), used, settings, cipher=cipher, on_default_file=on_default_file)
        verifier = Verifier(settings.secrets, tolerance=settings.tolerance, legacy=settings.legacy_webhooks)
        return cls(app, settings, verifier, engine, subscriptions)

    @classmethod
    def of(cls, app: Flask) -> Installation:
        """Return the installation of ``app``.

        Raises :class:`~flask_whop.errors.SetupError` if there is none.
        """
        installation = cls.find(app)
        if installation is None:
            raise SetupError("WhopWebhooks isn't set up for this app: call WhopWebhooks(app), or whop.init_app(app).")
        return installation

    @classmethod
    def find(cls, app: Flask) -> Installation | None:
        """Return the installation of ``app``, which its blueprint has; None if there is none."""
        installation = getattr(app.blueprints.get(NAME), "installation", None)
        return installation if isinstance(installation, cls) else None

    @property
    def store(self) -> Store:
        """Where deliveries are kept."""
        return self.engine.store

    @property
    def api_settings(self) -> ApiSettings:
        """The settings of Whop's API; raises :class:`~flask_whop.errors.ConfigError` for an unusable one."""
        return ApiSettings.read(self.app.config, os.environ)

    @property
    def secret(self) -> str:
        """The first secret; raises :class:`~flask_whop.errors.ConfigError` in a command that runs without any."""
        if not self.settings.secrets:
            raise ConfigError(no_secret("WHOP_WEBHOOK_SECRET"))
        return self.settings.secrets[0]

    @property
    def path(self) -> str:
        """The path of the route, after the one at which WSGI middleware mounts the app."""
        return f"{mount_of(self.app)}{self.settings.path}"

    @property
    def address(self) -> str:
        """Where a test client of the app delivers: the path, after the host if that is set."""
        return f"http://{self.settings.host}{self.path}" if self.settings.host else self.path

    def post(self, request: SignedRequest) -> TestResponse:
        """Deliver a signed request to the app in this process, through its own WSGI stack."""
        return self.app.test_client().post(self.address, buffered=True, **request)

    def shares_endpoint(self) -> bool:
        """Whether another app, with other secrets, takes deliveries under the same endpoint.

        Deliveries signed with other secrets that all came before ours, or all after
        them, are those of a rotation. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        latest = self.store.find(self.engine.endpoint, Filter(), _COMPARED)
        signers = (stored.signer in self.engine.fingerprints for stored in latest if stored.signer is not None)
        return sum(1 for _ in groupby(signers)) > _BEFORE_AND_AFTER

    def begin(self) -> None:
        """Note since when deliveries are kept, and log an error if another app uses the same endpoint in the store."""
        try:
            self.engine.retention.remembers_since()
            shared = self.shares_endpoint()
        except StoreUnavailable:
            return  # the next one to use it reports that
        if shared:
            log.error(
                "Another app takes deliveries as WHOP_ENDPOINT=%r in the same store: some of the latest were verified"
                " with secrets that this app doesn't have. Each app may take the other's work, which is then lost. Give"
                " each app its own WHOP_ENDPOINT.",
                self.engine.endpoint,
            )


def _store_for(app: Flask, settings: Settings) -> Store:
    """The store that the settings name; memory for an app under test that names none.

    If ``TESTING`` is turned on later, ``Engine.store`` leaves the default file.
    """
    if settings.store == DEFAULT_STORE and app.testing:
        return MemoryStore()
    if settings.store == "memory://" and settings.dispatch.owned and not app.testing:
        raise ConfigError(
            f"WHOP_DISPATCH={settings.dispatch.value!r} answers before the receivers have run, so WHOP_STORE must"
            " outlast the process: sqlite:///whop.sqlite3, or a database's URL."
        )
    size, wait = settings.store_pool_size, settings.store_pool_wait
    return store_for(settings.store, app.instance_path, pool_size=size, pool_wait=wait)


def mount_of(app: Flask) -> str:
    """Return the path at which a ``DispatcherMiddleware`` around ``app`` mounts it; empty if there is none."""
    return _mount(app.wsgi_app, app, _MOST_LAYERS) or ""


def _mount(outer: object, app: Flask, left: int) -> str | None:
    """The path under ``outer`` that leads to ``app``; None if none visibly does."""
    if getattr(outer, "__self__", None) is app:
        return ""
    if left == 0 or outer is None:
        return None
    if isinstance(outer, DispatcherMiddleware):
        mounted: dict[str, object] = {"": outer.app, **outer.mounts}
    else:
        mounted = {"": getattr(outer, "app", None) or getattr(outer, "wsgi_app", None)}
    paths = ((prefix, _mount(inner, app, left - 1)) for prefix, inner in mounted.items())
    return next((f"{prefix}{rest}" for prefix, rest in paths if rest is not None), None)
