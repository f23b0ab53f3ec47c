"""The extension: ``WhopWebhooks(app)``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload
from weakref import WeakSet

import click
from flask import Blueprint, Flask, current_app
from flask.logging import default_handler

from flask_whop.blueprint import create_blueprint
from flask_whop.cli import WhopCommands
from flask_whop.config import NAME, Mode, Settings, misspelled, unread
from flask_whop.doctor.unhandled import UnhandledLog
from flask_whop.engine.bodies import Cipher
from flask_whop.engine.deliveries import Deliveries
from flask_whop.engine.health import Health, health_of
from flask_whop.engine.installation import Installation
from flask_whop.errors import ConfigError, SetupError
from flask_whop.grammar import with_article
from flask_whop.logs import log
from flask_whop.signals import unknown_event
from flask_whop.signals.kinds import Connector, Receiver, ResultT
from flask_whop.signals.subscriptions import Subscription, select
from flask_whop.stores import Stats, Store

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from flask_whop.events import AnyEvent, EventName, EventPattern
    from flask_whop.events.event_names import FamilyPattern
    from flask_whop.inbox import Authorize, WhopInbox
    from flask_whop.signals.terms import Options

    _Named: TypeAlias = EventName | FamilyPattern | EventPattern
    _AnyOf: TypeAlias = type[AnyEvent] | _Named

E1 = TypeVar("E1", bound="AnyEvent")
E2 = TypeVar("E2", bound="AnyEvent")
E3 = TypeVar("E3", bound="AnyEvent")
E4 = TypeVar("E4", bound="AnyEvent")


class WhopWebhooks:
    """Receives Whop's webhooks for a Flask app.

    It registers a blueprint with one route, ``POST /webhooks/whop``. Each delivery is
    verified, parsed, and sent as the signal of its event's type: see
    :mod:`flask_whop.signals`, and :meth:`on` for receivers that belong to the app.

    The settings are in ``app.config``: see :class:`~flask_whop.config.Settings`.
    ``store`` overrides ``WHOP_STORE``, for example with a
    :class:`~flask_whop.stores.sqlalchemy.SessionStore`. ``cipher`` encrypts the bodies
    that are stored, for example ``cryptography``'s ``MultiFernet``.
    """

    def __init__(self, app: Flask | None = None, *, store: Store | None = None, cipher: Cipher | None = None) -> None:
        self._store = store
        self._cipher = cipher
        self._subscriptions: list[Subscription] = []
        self._apps: WeakSet[Flask] = WeakSet()
        self._inbox: WhopInbox | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set ``app`` up to receive webhooks.

        Raises :class:`~flask_whop.errors.ConfigError` if a setting is unusable, and
        :class:`~flask_whop.errors.SetupError` if the app has been set up before, or if
        something else has a blueprint, an extension or a command called ``whop``.
        """
        _check_names(app)
        settings = Settings.read(app.config, os.environ, name=app.name)
        for key, nearest in misspelled(app.config):
            log.warning("app.config has %s, which is no setting of flask_whop; %s is.", key, nearest)
        for key in unread(app.config, os.environ):
            log.warning(
                "The environment has %s, which isn't read from there: set app.config[%r], or FLASK_%s with"
                " app.config.from_prefixed_env().",
                *(key, key, key),
            )
        _check_host(app, settings.host)
        installation = Installation.build(app, settings, self._store, self._subscriptions, self._cipher)
        app.register_blueprint(create_blueprint(installation))
        _keep_name(app)
        app.cli.add_command(WhopCommands())
        app.extensions[NAME] = self
        if installation.store.ready_at_start:
            installation.begin()
        UnhandledLog(app)
        _show_log()
        if settings.dispatch is Mode.CELERY:
            import_module("flask_whop.reconcile.celery")  # which makes its task
        self._apps.add(app)
        for subscription in self._subscriptions:
            subscription.connect(app)
        if self._inbox is not None:
            self._inbox.init_app(app)

    def health(self) -> Health:
        """Look whether the current app's deliveries are taken and run: ``whop.health().ok``, and what is wrong."""
        return health_of(Installation.of(current_app))

    @property
    def deliveries(self) -> Deliveries:
        """The current app's deliveries: find, look at, replay, prune and erase them."""
        return Deliveries(Installation.of(current_app))

    def inbox(
        self,
        *,
        authorize: Authorize | None = None,
        authorize_replay: Authorize | None = None,
        url_prefix: str = "/whop",
        host: str | None = None,
    ) -> WhopInbox:
        """Give each app of this extension, now and later, an inbox: see :class:`flask_whop.inbox.WhopInbox`."""
        from flask_whop.inbox import WhopInbox  # noqa: PLC0415  # paid for by those who have one

        inbox = WhopInbox(authorize=authorize, authorize_replay=authorize_replay, url_prefix=url_prefix, host=host)
        for app in self._apps:
            inbox.init_app(app)
        self._inbox = inbox
        return inbox

    def stats(self) -> Stats:
        """Count the current app's unfinished deliveries by state, and those done in the last hour.

        For a health check: ``whop.stats().oldest_unfinished``, in seconds. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        return self.deliveries.stats()

    @overload
    def on(self, event: type[E1], /, **options: Unpack[Options[E1]]) -> Connector[E1]: ...
    @overload
    def on(self, event: type[E1], event2: type[E2], /, **options: Unpack[Options[E1 | E2]]) -> Connector[E1 | E2]: ...
    @overload
    def on(
        self, event: type[E1], event2: type[E2], event3: type[E3], /, **options: Unpack[Options[E1 | E2 | E3]]
    ) -> Connector[E1 | E2 | E3]: ...
    @overload
    def on(
        self,
        event: type[E1],
        event2: type[E2],
        event3: type[E3],
        event4: type[E4],
        /,
        **options: Unpack[Options[E1 | E2 | E3 | E4]],
    ) -> Connector[E1 | E2 | E3 | E4]: ...
    # Of a name or a pattern the event can be any. Where classes come first, one has to follow: if these took classes
    # alone, they would take a condition for another class as well.
    @overload
    def on(self, event: _Named, /, *events: _AnyOf, **options: Unpack[Options[Any]]) -> Connector[Any]: ...
    @overload
    def on(
        self, event: type[AnyEvent], event2: _Named, /, *events: _AnyOf, **options: Unpack[Options[Any]]
    ) -> Connector[Any]: ...
    @overload
    def on(
        self,
        event: type[AnyEvent],
        event2: type[AnyEvent],
        event3: _Named,
        /,
        *events: _AnyOf,
        **options: Unpack[Options[Any]],
    ) -> Connector[Any]: ...
    @overload
    def on(
        self,
        event: type[AnyEvent],
        event2: type[AnyEvent],
        event3: type[AnyEvent],
        event4: _Named,
        /,
        *events: _AnyOf,
        **options: Unpack[Options[Any]],
    ) -> Connector[Any]: ...
    @overload
    def on(
        self,
        event: type[AnyEvent],
        event2: type[AnyEvent],
        event3: type[AnyEvent],
        event4: type[AnyEvent],
        event5: _AnyOf,
        /,
        *events: _AnyOf,
        **options: Unpack[Options[Any]],
    ) -> Connector[Any]: ...
    def on(  # noqa: PLR0913  # each by its name
        self,
        *events: type[AnyEvent] | str,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
        when: Callable[[Any], object] | None = None,
        accounts: str | Sequence[str] = (),
        once_per: Callable[[Any], object] | None = None,
    ) -> Connector[Any]:
        """Connect the decorated function to some events, for this extension's app alone.

        ``events`` are classes (``PaymentSucceeded``), names (``"payment.succeeded"``),
        or patterns (``"payment.*"``; ``"*"`` for all, including those this release
        doesn't know). For type checkers, a name that isn't written out, or an unusual
        pattern, is an :class:`~flask_whop.events.EventPattern`. An extension that serves
        several apps connects it for each of them. ``name`` identifies the receiver in
        receipts and logs; the default is ``module:qualname``. With ``skip_stale`` it
        skips an event if it has handled a newer one about the same resource. A receiver
        that was renamed or moved takes over the receipts of its former names, ``was``. It
        isn't called with an event for which ``when`` returns something false, or of an
        account (``biz_…``) that ``accounts`` doesn't list; what ``when`` raises is a
        failure of the receiver. Of all events for which ``once_per`` gives the same key
        (a text or a whole number) it does one, whichever comes first and is done; None is
        no key.

        Raises :class:`~flask_whop.errors.UnknownEventError` for a name that no event
        has, and :class:`~flask_whop.errors.SetupError` for a second receiver of the
        same name.
        """
        event_types, patterns, by_pattern = select(events)

        def connect(receiver: Receiver[Any, ResultT], /) -> Callable[..., ResultT]:
            terms = unknown_event.terms_for(
                receiver,
                name=name,
                skip_stale=skip_stale,
                was=was,
                patterns=patterns,
                when=when,
                accounts=accounts,
                once_per=once_per,
            )
            self._subscribe(Subscription(receiver, event_types, terms, by_pattern))
            return receiver

        return connect

    def _subscribe(self, subscription: Subscription) -> None:
        replaced = [other for other in self._subscriptions if other.gives_way_to(subscription)]
        for app in self._apps:
            subscription.check(app)
        for other in replaced:
            other.disconnect(self._apps)
            self._subscriptions.remove(other)
        for app in self._apps:
            subscription.connect(app)
        self._subscriptions.append(subscription)


def _show_log() -> None:
    """Let ``flask run`` show our lines, beside the server's own, unless somebody has set logging up."""
    context = click.get_current_context(silent=True)
    if context is not None and context.info_name == "run" and not log.hasHandlers() and log.level == logging.NOTSET:
        log.addHandler(default_handler)
        log.setLevel(logging.INFO)


def _check_names(app: Flask) -> None:
    if Installation.find(app) is not None:
        raise SetupError("WhopWebhooks is already set up for this app; one is enough, with a list of secrets.")
    kinds = {"blueprint": app.blueprints, "extension": app.extensions, "command": app.cli.commands}
    for kind, taken in kinds.items():
        if NAME in taken:
            raise _taken(kind)


def _check_host(app: Flask, host: str | None) -> None:
    if app.url_map.host_matching and host is None:
        raise ConfigError(
            "WHOP_WEBHOOK_HOST is not set. The app was made with host_matching=True, so no request would reach a route"
            " without a host: set it to the host of the address that Whop has, such as hooks.example.com."
        )
    if host is not None and not app.url_map.host_matching:
        raise ConfigError(
            "WHOP_WEBHOOK_HOST is for apps made with host_matching=True, and would be ignored in this one: remove it,"
            " or make the app with Flask(__name__, host_matching=True, static_host=…)."
        )


def _keep_name(app: Flask) -> None:
    """Explain when a later blueprint takes our name, which Flask would refuse without naming us."""
    register = app.register_blueprint

    @wraps(register)
    def guarded(blueprint: Blueprint, **options: Any) -> None:
        if options.get("name", blueprint.name) == NAME:
            raise _taken("blueprint")
        register(blueprint, **options)

    app.register_blueprint = guarded  # type: ignore[assignment,method-assign]


def _taken(kind: str) -> SetupError:
    return SetupError(
        f"The app already has {with_article(kind)} called {NAME}, which is flask_whop's name: give the other one"
        " another name."
    )
