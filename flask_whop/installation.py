"""What one app is set up with, for the edges: commands, tasks and tests."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flask_whop.errors import SetupError, StoreUnavailable
from flask_whop.stores import MemoryStore

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.config import Settings
    from flask_whop.engine import Engine
    from flask_whop.signature import Verifier
    from flask_whop.stores import Store

log: logging.Logger = logging.getLogger("flask_whop")

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
    def store(self) -> Store:
        """Where deliveries are kept."""
        self.keep_off_file()
        return self.engine.store

    def keep_off_file(self, *, testing: bool = False) -> None:
        """Keep an app under test off the default file, in which the tests of yesterday have left theirs."""
        if (testing or self.app.testing) and self.engine.store is self.file:
            self.engine.use(MemoryStore(clock=self.engine.store.clock))
