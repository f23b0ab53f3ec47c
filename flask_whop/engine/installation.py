"""What one app is set up with, for the edges: commands, tasks and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_whop.errors import SetupError, StoreUnavailable
from flask_whop.logs import log
from flask_whop.stores import MemoryStore

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.config import Settings
    from flask_whop.engine import Engine
    from flask_whop.signature import Verifier
    from flask_whop.stores import Store

_MOST_LAYERS = 20

KEY: Final = "whop.installation"
"""Where in ``app.extensions`` it stands."""


@dataclass(frozen=True)
class Installation:
    """The parts that serve one app."""

    app: Flask
    settings: Settings
    verifier: Verifier
    engine: Engine
    file: Store | None
    """The store of the default file; None if another place was asked for."""

    @classmethod
    def of(cls, app: Flask) -> Installation:
        """The installation of ``app``.

        Raises :class:`~flask_whop.errors.SetupError` if the app has none.
        """
        installation = app.extensions.get(KEY)
        if not isinstance(installation, cls):
            raise SetupError("WhopWebhooks is not set up for this app: call WhopWebhooks(app), or whop.init_app(app).")
        return installation

    def warn_of_others(self) -> None:
        """Say loudly if another app uses the same endpoint in the same store."""
        try:
            shares = self.engine.shares_endpoint()
        except StoreUnavailable:
            return  # whoever uses it next is told
        if shares:
            log.error(
                "Another app takes deliveries as WHOP_ENDPOINT=%r in the same store: some of the latest were verified"
                " by secrets that this app has not, in between those that it has. Each may take the other's work, which"
                " is lost then. Give each app a WHOP_ENDPOINT of its own.",
                self.engine.endpoint,
            )

    @property
    def path(self) -> str:
        """The path of the route, with that at which the app has been mounted by WSGI middleware of its own."""
        return f"{mount_of(self.app)}{self.settings.path}"

    @property
    def address(self) -> str:
        """Where a test client of the app delivers to: the path, behind the host if that is set."""
        return f"http://{self.settings.host}{self.path}" if self.settings.host else self.path

    @property
    def store(self) -> Store:
        """Where deliveries are kept."""
        self.keep_off_file()
        return self.engine.store

    def keep_off_file(self, *, testing: bool = False) -> None:
        """Keep an app under test off the default file, in which the tests of yesterday have left theirs."""
        if self.engine.store is self.file and (testing or self.app.testing):
            self.engine.use(MemoryStore(clock=self.engine.store.clock))


def mount_of(app: Flask) -> str:
    """The path at which a ``DispatcherMiddleware`` that is wrapped around ``app`` has it; empty if there is none."""
    return _mount(app.wsgi_app, app, _MOST_LAYERS) or ""


def _mount(outer: object, app: Flask, left: int) -> str | None:
    """The path under ``outer`` that leads to ``app``; None if it cannot be seen that one does."""
    if getattr(outer, "__self__", None) is app:
        return ""
    if left == 0 or outer is None:
        return None
    if isinstance(outer, DispatcherMiddleware):
        ways: dict[str, object] = {"": outer.app, **outer.mounts}
    else:
        ways = {"": getattr(outer, "app", None) or getattr(outer, "wsgi_app", None)}
    found = ((prefix, _mount(inner, app, left - 1)) for prefix, inner in ways.items())
    return next((f"{prefix}{rest}" for prefix, rest in found if rest is not None), None)
