"""The extension: ``WhopWebhooks(app)``."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload
from weakref import WeakSet

from flask import Blueprint, Flask, current_app, got_request_exception

from flask_whop.blueprint import create_blueprint
from flask_whop.cli import WhopCommands
from flask_whop.config import DEFAULT_STORE, NAME, Mode, Settings, strangers
from flask_whop.doctor.unhandled import UnhandledLog
from flask_whop.engine import Engine
from flask_whop.engine.dispatch import dispatcher
from flask_whop.engine.host import Host
from flask_whop.engine.installation import KEY, Installation
from flask_whop.engine.interruptions import Cause, cause_of
from flask_whop.engine.leases import LeaseKeeper
from flask_whop.engine.retries import RetryPolicy
from flask_whop.errors import ConfigError, MissingExtraError, SetupError
from flask_whop.events import Event, UnknownEvent, matching
from flask_whop.logs import log
from flask_whop.signals import EVENT_SIGNALS, unknown_event
from flask_whop.signals.kinds import Connector, EventSignal, Receiver, ResultT
from flask_whop.signals.subscriptions import Rival, Terms, clash
from flask_whop.signature import Verifier, fingerprint
from flask_whop.stores import MemoryStore, Stats, Store, store_for

if TYPE_CHECKING:
    from flask_whop.events import AnyEvent

E1 = TypeVar("E1", bound="AnyEvent")
E2 = TypeVar("E2", bound="AnyEvent")
E3 = TypeVar("E3", bound="AnyEvent")
E4 = TypeVar("E4", bound="AnyEvent")


class WhopWebhooks:
    """Receives Whop's webhooks for a Flask app.

    It registers a blueprint with one route, ``POST /webhooks/whop``. Each delivery is
    verified, parsed, and sent as the signal of its event's type; see
    :mod:`flask_whop.signals`, and :meth:`on` for receivers that belong to the app.

    Settings, from ``app.config``:

    ``WHOP_WEBHOOK_SECRET``
        The secret as Whop shows it, or several: a list, or one text with commas. Required;
        it may stand in the environment instead.
    ``WHOP_WEBHOOK_PATH``
        The path of the route. ``/webhooks/whop`` where it is left out.
    ``WHOP_WEBHOOK_HOST``
        The host of the route, in an app that was made with ``host_matching=True``.
    ``WHOP_WEBHOOK_TOLERANCE``
        How many seconds old, or early, a signature may be. 300.
    ``WHOP_WEBHOOK_MAX_BYTES``
        The size of the largest body that is read. 1048576.
    ``WHOP_ACCOUNTS``
        The only accounts (``biz_…``) whose events are taken, a list, or one text with
        commas. All.
    ``WHOP_STORE``
        Where deliveries are kept: ``memory://``, or the URL of a database.
        ``sqlite:///whop.sqlite3``, a file in the instance folder; in tests, memory.
    ``WHOP_STORE_POOL_SIZE``, ``WHOP_STORE_POOL_WAIT``
        How many connections a process may have to PostgreSQL, MySQL or MariaDB, and how
        many seconds a thread waits for one. 4 and 3.
    ``WHOP_DISPATCH``
        When receivers run: ``inline``, ``after_response``, ``worker`` or ``celery``.
        ``inline``.
    ``WHOP_CELERY_QUEUE``
        The queue that tasks of Celery's are sent to. Celery's own routing.
    ``WHOP_RETRY_FIRST``, ``WHOP_RETRY_LONGEST``, ``WHOP_RETRY_FOR``
        How many seconds to wait after a first failure, at most between two tries, and
        in all, where the retry is ours. 10, 3600 and 86400.
    ``WHOP_LONGEST_CALL``
        How many seconds one call of a receiver may hold a delivery, before that is
        tried again elsewhere. 3600.
    ``WHOP_KEEP_DAYS``
        How many days deliveries are kept. 30, and at least 4.
    ``WHOP_KEEP_PAYLOADS``
        Whether their bodies are kept when they are done. True.
    ``WHOP_ENDPOINT``
        Whose deliveries these are, where several apps share a database. The last part
        of the app's name.

    ``store`` is used in the place of that which ``WHOP_STORE`` names, such as a
    :class:`~flask_whop.stores.sqlalchemy.SessionStore`.
    """

    def __init__(self, app: Flask | None = None, *, store: Store | None = None) -> None:
        self._store = store
        self._subscriptions: list[_Subscription] = []
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set ``app`` up to receive webhooks.

        Raises :class:`~flask_whop.errors.ConfigError` if a setting is unusable, and
        :class:`~flask_whop.errors.SetupError` if the app has been set up before, or has a
        blueprint, an extension or a command called ``whop`` of somebody else's.
        """
        _check_names(app)
        settings = Settings.read(app.config, os.environ, name=app.name)
        for key, nearest in strangers(app.config):
            log.warning("app.config has %s, which is no setting of flask_whop; %s is.", key, nearest)
        _check_host(app, settings.host)
        store = self._store_of(app, settings)
        store.open(durable=settings.dispatch is not Mode.INLINE, keep_bodies=settings.keep_payloads)
        report = _reporter(app)
        engine = Engine(
            Host(app, _waiter(app), report),
            store,
            endpoint=settings.endpoint,
            accounts=settings.accounts,
            fingerprints=[fingerprint(secret) for secret in settings.secrets],
            retries=RetryPolicy(settings.retry_first, settings.retry_longest, settings.retry_for),
            leases=LeaseKeeper(longest=settings.longest_call),
        )
        verifier = Verifier(settings.secrets, tolerance=settings.tolerance)
        blueprint = create_blueprint(
            app,
            path=settings.path,
            host=settings.host,
            max_bytes=settings.max_bytes,
            verifier=verifier,
            engine=engine,
            dispatch=dispatcher(settings.dispatch, app, engine),
            report=report,
        )
        file = store if self._store is None and settings.store == DEFAULT_STORE else None
        installation = Installation(app, settings, verifier, engine, file)
        if file is not None:
            # TESTING is often set after the app has been made, and tests are to be kept off the file.
            blueprint.url_value_preprocessor(lambda _endpoint, _values: installation.keep_off_file())
        app.register_blueprint(blueprint)
        _keep_name(app)
        app.cli.add_command(WhopCommands())
        app.extensions[NAME] = self
        app.extensions[KEY] = installation
        if store.ready_at_start:
            installation.warn_of_others()
        UnhandledLog(app)
        self._apps.add(app)
        for subscription in self._subscriptions:
            subscription.connect(app)

    def _store_of(self, app: Flask, settings: Settings) -> Store:
        if self._store is not None:
            return self._store
        if settings.store == DEFAULT_STORE and app.testing:
            # The tests of an app are not to find what those of yesterday have left in a file.
            return MemoryStore()
        if settings.store == "memory://" and settings.dispatch is not Mode.INLINE and not app.testing:
            raise ConfigError(
                f"WHOP_DISPATCH={settings.dispatch.value!r} answers before the receivers have run, so that WHOP_STORE"
                " must outlast the process: sqlite:///whop.sqlite3, or a database's URL."
            )
        size, wait = settings.store_pool_size, settings.store_pool_wait
        return store_for(settings.store, app.instance_path, pool_size=size, pool_wait=wait)

    def stats(self) -> Stats:
        """Count by state the deliveries of the current app that are not done, and how many of the last hour's are.

        For a health check: ``whop.stats().oldest_unfinished``, in seconds. Raises
        :class:`~flask_whop.errors.StoreUnavailable`.
        """
        engine = Installation.of(current_app).engine
        return engine.store.stats(engine.endpoint)

    @overload
    def on(
        self, event: type[E1], /, *, name: str | None = None, skip_stale: bool = False, was: str | Sequence[str] = ()
    ) -> Connector[E1]: ...
    @overload
    def on(
        self,
        event: type[E1],
        event2: type[E2],
        /,
        *,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
    ) -> Connector[E1 | E2]: ...
    @overload
    def on(
        self,
        event: type[E1],
        event2: type[E2],
        event3: type[E3],
        /,
        *,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
    ) -> Connector[E1 | E2 | E3]: ...
    @overload
    def on(
        self,
        event: type[E1],
        event2: type[E2],
        event3: type[E3],
        event4: type[E4],
        /,
        *,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
    ) -> Connector[E1 | E2 | E3 | E4]: ...
    @overload
    def on(
        self,
        *events: type[AnyEvent] | str,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
    ) -> Connector[NoReturn]: ...
    def on(
        self,
        *events: type[AnyEvent] | str,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
    ) -> Connector[Any]:
        """Connect the decorated function to some events, for this extension's app alone.

        ``events`` are classes (``PaymentSucceeded``), names (``"payment.succeeded"``),
        or patterns (``"payment.*"``; ``"*"`` for all, those that this release does not
        know included). An extension that serves several apps connects it for each of
        them. ``name`` tells the receiver from others in receipts and logs, and is
        ``module:qualname`` where it is left out. With ``skip_stale`` the receiver is
        passed over where it has handled a newer event about the same resource. A
        receiver that was renamed or moved takes over the receipts that it has under
        its former names, ``was``.

        Raises :class:`~flask_whop.errors.UnknownEventError` for a name that no event
        has, and :class:`~flask_whop.errors.SetupError` for a second receiver of one
        name.
        """
        event_types, patterns = _select(events)

        def connect(receiver: Receiver[Any, ResultT], /) -> Callable[..., ResultT]:
            terms = unknown_event.terms_for(receiver, name, skip_stale=skip_stale, was=was, patterns=patterns)
            self._subscribe(_Subscription(receiver, event_types, terms))
            return receiver

        return connect

    def _subscribe(self, subscription: _Subscription) -> None:
        replaced = [other for other in self._subscriptions if other.gives_way_to(subscription)]
        for app in self._apps:
            subscription.check(app)
        for other in replaced:
            other.disconnect(self._apps)
            self._subscriptions.remove(other)
        for app in self._apps:
            subscription.connect(app)
        self._subscriptions.append(subscription)


@dataclass(frozen=True)
class _Subscription:
    """What one use of :meth:`WhopWebhooks.on` asks for."""

    receiver: Callable[..., object]
    event_types: tuple[str, ...]
    terms: Terms
    """With the patterns that take events of unknown types as well."""

    def connect(self, app: Flask) -> None:
        self.check(app)
        for signal, terms in self._signals():
            signal.put(self.receiver, app, terms)

    def check(self, app: Flask) -> None:
        """Raise if one of the signals would refuse it, so that all of them take it, or none."""
        for signal, terms in self._signals():
            signal.giving_way(self.receiver, app, terms)

    def disconnect(self, apps: Iterable[Flask]) -> None:
        for app in apps:
            for signal, _ in self._signals():
                signal.disconnect(self.receiver, app)

    def gives_way_to(self, other: _Subscription) -> bool:
        """Whether a reload puts ``other`` in its place; raise if the two share an event and a name otherwise."""
        shared = self._shared_with(other)
        if shared is None or self.receiver == other.receiver or not self.terms.shared_name(other.terms):
            return False
        rival = Rival(self.receiver, self.terms)
        if not rival.gives_way_to(other.receiver, other.terms):
            raise clash(other.receiver, other.terms, rival, shared)
        return True

    def _shared_with(self, other: _Subscription) -> str | None:
        for event_type in self.event_types:
            if event_type in other.event_types:
                return event_type
        both = self.terms.patterns and other.terms.patterns
        return "unknown events" if both and self.terms.meet(other.terms) else None

    def _signals(self) -> Iterator[tuple[EventSignal[Any], Terms]]:
        for event_type in self.event_types:
            yield EVENT_SIGNALS[event_type], self.terms._replace(patterns=())
        if self.terms.patterns:
            yield unknown_event, self.terms


def _select(events: Sequence[type[AnyEvent] | str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The event types that ``events`` name, each once, and the patterns among them."""
    if not events:
        raise SetupError('on() needs an event: a class, a name, or a pattern such as "payment.*".')
    types: dict[str, None] = {}
    patterns: list[str] = []
    for event in events:
        if isinstance(event, str):
            types.update(dict.fromkeys(matching(event)))
            patterns += [event] if "*" in event else []
        elif isinstance(event, type) and issubclass(event, UnknownEvent):
            patterns.append("*")
        elif isinstance(event, type) and issubclass(event, Event) and (event_type := getattr(event, "type", None)):
            types[event_type] = None
        else:
            raise SetupError(
                f"on() takes events, by class, name or pattern, and got {event!r}; write @whop.on(PaymentSucceeded)."
            )
    return tuple(types), tuple(patterns)


def _check_names(app: Flask) -> None:
    if KEY in app.extensions:
        raise SetupError("WhopWebhooks is set up for this app already; one is enough, with a list of secrets.")
    kinds = {"blueprint": app.blueprints, "extension": app.extensions, "command": app.cli.commands}
    for kind, taken in kinds.items():
        if NAME in taken:
            raise _taken(kind)


def _check_host(app: Flask, host: str | None) -> None:
    if app.url_map.host_matching and host is None:
        raise ConfigError(
            "WHOP_WEBHOOK_HOST is not set. The app was made with host_matching=True, so that no request would reach a"
            " route without a host: set it to that of the address which Whop has, such as hooks.example.com."
        )
    if host is not None and not app.url_map.host_matching:
        raise ConfigError(
            "WHOP_WEBHOOK_HOST is for apps that are made with host_matching=True, and would be ignored in this one:"
            " take it out, or make the app with Flask(__name__, host_matching=True, static_host=…)."
        )


def _keep_name(app: Flask) -> None:
    """Say it in our words when a later blueprint takes our name, which Flask would refuse without naming us."""
    register = app.register_blueprint

    @wraps(register)
    def guarded(blueprint: Blueprint, **options: Any) -> None:
        if options.get("name", blueprint.name) == NAME:
            raise _taken("blueprint")
        register(blueprint, **options)

    app.register_blueprint = guarded  # type: ignore[assignment,method-assign]


def _taken(kind: str) -> SetupError:
    return SetupError(
        f"The app has a {kind} called {NAME}, and flask_whop's is called that: give the other one another name."
    )


def _waiter(app: Flask) -> Callable[[Awaitable[object]], object]:
    async def wait(awaitable: Awaitable[object]) -> object:
        return await awaitable

    def run(awaitable: Awaitable[object]) -> object:
        try:
            sync = app.ensure_sync(wait)
        except RuntimeError as error:
            raise MissingExtraError(str(error)) from None
        return sync(awaitable)

    return run


def _reporter(app: Flask) -> Callable[[Exception], object]:
    def report(error: Exception) -> None:
        # The view answers by itself, so that Flask never sees the error, and error
        # trackers listen here.
        try:
            got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
        except BaseException as raised:
            if cause_of(raised) is not Cause.FAILURE:
                raise
            log.exception("A receiver of got_request_exception raised.")

    return report
