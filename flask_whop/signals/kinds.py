"""The kinds of signals, and what it takes to be a receiver of one.

They are Blinker's :class:`~blinker.NamedSignal` with five promises more: receivers are
held strongly unless asked otherwise, those that are tied to an app go with that app,
all are called in the order in which they were connected, a function that could not be
called is refused when it is connected, and so is a second one of the same name, under
which receipts are kept.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from operator import itemgetter
from threading import RLock
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast
from weakref import WeakValueDictionary, ref

from blinker import ANY, NamedSignal

from flask_whop.errors import SetupError
from flask_whop.events import UnknownEvent, event_class
from flask_whop.names import name_of as name_of
from flask_whop.signals.checks import check_callable
from flask_whop.signals.checks import unrun as unrun
from flask_whop.signals.subscriptions import Call as Call
from flask_whop.signals.subscriptions import Connection, Rival, Terms, clash

if TYPE_CHECKING:
    from flask import Flask

    from flask_whop.events import AnyEvent

EventT = TypeVar("EventT", bound="AnyEvent")
EventT_contra = TypeVar("EventT_contra", contravariant=True)
ReceiverT = TypeVar("ReceiverT", bound=Callable[..., object])
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


KEPT = "whop.receivers"
"""Where in ``app.extensions`` the receivers are kept that are tied to the app."""


class Snapshot(NamedTuple):
    """Whom a signal would call for one sender, as long as nothing is connected or disconnected."""

    version: object
    """Which state of the signal it shows; None for one that may pass without a word, and is not to be kept."""
    calls: tuple[Call, ...]


class Receiver(Protocol[EventT_contra, ResultT_co]):
    """A function that can be connected to the signal of an event.

    It takes the app by position and the event by name, and may take more by name, all
    of it with defaults (``**extra`` is the custom). It may be ``async``.
    """

    def __call__(self, app: Flask, /, *, event: EventT_contra) -> ResultT_co:
        """Handle ``event``; return if it is done, raise if it is not."""
        ...


class Connector(Protocol[EventT_contra]):  # type: ignore[misc]  # the variance is that of the receivers it takes
    """A decorator that connects a receiver and gives it back."""

    def __call__(self, receiver: Receiver[EventT_contra, ResultT], /) -> Callable[..., ResultT]:
        """Connect ``receiver``."""
        ...


class AppSignal(NamedSignal):
    """A signal whose senders are apps; ``keywords`` are the names that receivers get."""

    def __init__(self, name: str, keywords: Sequence[str], doc: str | None = None) -> None:
        super().__init__(name, doc)
        self._keywords = tuple(keywords)
        self._terms: dict[tuple[object, object], tuple[Terms, ...]] = {}
        """By the ids of receiver and sender: several where a receiver takes several patterns, each in its own way."""
        self._apps: WeakValueDictionary[object, Any] = WeakValueDictionary()
        self._version = object()
        """Another one after each change of a connection."""
        self._muted: ContextVar[bool] = ContextVar(f"{name} muted", default=False)

    def add(  # noqa: PLR0913  # what a connection is made of, each by name
        self,
        receiver: ReceiverT,
        sender: object = ANY,
        weak: bool = False,
        *,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
        patterns: Sequence[str] = (),
    ) -> ReceiverT:
        """Connect ``receiver``; the typed ``connect`` of each kind of signal leads here.

        Of unknown events it gets the types alone that match one of ``patterns``; all
        where there are none.
        """
        terms = self.terms_for(receiver, name, skip_stale=skip_stale, was=was, patterns=patterns)
        self.put(receiver, _real(sender), terms, weak=weak)
        return receiver

    def terms_for(
        self,
        receiver: Callable[..., object],
        name: str | None = None,
        *,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
        patterns: Sequence[str] = (),
    ) -> Terms:
        """Put down how ``receiver`` is to be connected; raise if it could not be called."""
        check_callable(receiver, self._keywords)
        return Terms.of(receiver, name, skip_stale=skip_stale, was=was, patterns=patterns)

    def giving_way(self, _receiver: Callable[..., object], _sender: object, _terms: Terms) -> list[Rival]:
        """Those whom a receiver replaces; raise if there is one that it cannot be connected beside."""
        return []

    def put(self, receiver: Callable[..., object], sender: object, terms: Terms, *, weak: bool = False) -> None:
        """Connect ``receiver`` on ``terms`` that have been made for it."""
        with _connecting:
            for former in self.giving_way(receiver, sender, terms):
                self._drop(*former.ids)
            self._note(_id(receiver), _sender_id(sender), terms)
            self._hold(receiver, sender, weak=weak)

    def restore(self, receiver: Callable[..., object], sender: object, connection: Connection) -> None:
        """Connect ``receiver`` as it was connected before, in its place in the order."""
        with _connecting:
            self._terms[_id(receiver), _sender_id(sender)] = connection.terms
            self._hold(receiver, sender, weak=connection.weak)

    def disconnect(self, receiver: Callable[..., object], sender: object = ANY) -> None:
        """Disconnect ``receiver`` from ``sender``, or from all senders."""
        sender = _real(sender)
        super().disconnect(receiver, sender)
        self._version = object()
        self._let_go(_id(receiver), _sender_id(sender))

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Call no receivers while the block runs, in this thread or task alone.

        Blinker's own mutes every thread, and drops what arrives there.
        """
        token = self._muted.set(True)
        try:
            yield
        finally:
            self._muted.reset(token)

    def receivers_for(self, sender: object) -> Iterator[Callable[..., object]]:  # type: ignore[override]  # an iterator is all that callers use
        """Yield the receivers to be called for ``sender``, in the order of connection."""
        for call in self.calls_for(sender):
            yield call.receiver

    def calls_for(self, sender: object) -> list[Call]:
        """The receivers to be called for ``sender``, with their names, in the order of connection.

        One that is connected for ``sender`` and for all is called once, by its name for ``sender``.
        """
        if not self.receivers:
            return []
        return [terms[-1].call(receiver) for _, receiver, terms in self._connected(sender)]

    def snapshot(self, sender: object, last: Snapshot | None) -> Snapshot:
        """What :meth:`calls_for` gives, which is ``last`` if that still holds.

        Keep it with the sender: it holds the receivers.
        """
        if self._muted.get():
            return _MUTED
        version = self._version
        if last is not None and last.version is version:
            return last
        calls = tuple(self.calls_for(sender))
        kept = _kept_by(sender) or {}
        # What is held weakly goes when it likes.
        lasting = all(
            not isinstance(self.receivers.get(_id(call.receiver)), ref) or (id(self), _id(call.receiver)) in kept
            for call in calls
        )
        return Snapshot(version if lasting else None, calls)

    def names_for(self, sender: object) -> set[str]:
        """The names that the receivers for ``sender`` have, and those that they had."""
        connected = [one for _, _, several in self._connected(sender) for one in several]
        return {name for terms in connected for name in (terms.name, *terms.was)}

    def connections(self, sender: object) -> dict[object, Connection]:
        """What is connected for exactly ``sender``, by Blinker's ids of the receivers."""
        sender_id = _sender_id(sender)
        kept = _kept_by(sender) or {}
        found: dict[object, Connection] = {}
        for receiver_id in list(self._by_sender.get(sender_id, ())):
            held = self.receivers.get(receiver_id)
            if (receiver := self._held(receiver_id)) is not None:
                weak = isinstance(held, ref) and (id(self), receiver_id) not in kept
                getter = cast("Callable[[], Callable[..., object] | None]", held) if weak else partial(_same, receiver)
                found[receiver_id] = Connection(getter, weak, self._terms[receiver_id, sender_id])
        return found

    def _connected(self, sender: object) -> list[tuple[int, Callable[..., object], tuple[Terms, ...]]]:
        """The receivers for ``sender`` on all terms that hold for it, those of its own last."""
        if not self.receivers or self._muted.get():
            return []
        sender_id = _id(_real(sender))
        of_all, of_one = self._by_sender[0], self._by_sender.get(sender_id, _NONE)
        connected: list[tuple[int, Callable[..., object], tuple[Terms, ...]]] = []
        for receiver_id in of_all | of_one:
            held = self.receivers.get(receiver_id)
            receiver = held() if isinstance(held, ref) else held
            terms = self._terms.get((receiver_id, 0), ()) if receiver_id in of_all else ()
            if receiver_id in of_one:
                terms += self._terms.get((receiver_id, sender_id), ())
            if receiver is not None and terms:
                connected.append((min(terms[0].order, terms[-1].order), receiver, terms))
        if len(connected) > 1:
            connected.sort(key=_by_order)
        return connected

    def _held(self, receiver_id: object) -> Callable[..., object] | None:
        held = self.receivers.get(receiver_id)
        return held() if isinstance(held, ref) else held

    def _hold(self, receiver: Callable[..., object], sender: object, *, weak: bool) -> None:
        kept, receiver_id = _kept_by(sender), _id(receiver)
        already_strong = not isinstance(self.receivers.get(receiver_id, _DEAD), ref)
        # What is tied to an app is held by the app alone: held here, it would keep the app
        # alive, for it mostly is a closure that knows the app.
        held_by_app = kept is not None and not weak
        super().connect(receiver, sender, weak=(weak or held_by_app) and not already_strong)
        self._version = object()
        if kept is not None and held_by_app:
            kept[id(self), receiver_id] = receiver
            self._apps[_id(sender)] = sender

    def _note(self, receiver_id: object, sender_id: object, terms: Terms) -> None:
        for key in [key for key in self._terms if not self._is_connected(*key)]:
            del self._terms[key]
        before = self._terms.get((receiver_id, sender_id), ())
        order = before[0].order if before else terms.order
        others = tuple(one for one in before if one.patterns != terms.patterns)
        self._terms[receiver_id, sender_id] = (*others, terms._replace(order=order))

    def _is_connected(self, receiver_id: object, sender_id: object) -> bool:
        return receiver_id in self._by_sender.get(sender_id, _NONE)

    def _drop(self, receiver_id: object, sender_id: object) -> None:
        self._disconnect(receiver_id, sender_id)
        self._version = object()
        self._let_go(receiver_id, sender_id)

    def _let_go(self, receiver_id: object, sender_id: object) -> None:
        for app_id, app in list(self._apps.items()):
            if sender_id in (0, app_id):
                (_kept_by(app) or {}).pop((id(self), receiver_id), None)


class LifecycleSignal(AppSignal, Generic[ReceiverT]):
    """A signal that tells what becomes of deliveries; it cannot influence it.

    What its receivers raise is logged and goes no further.
    """

    def connect(self, receiver: ReceiverT, sender: object = ANY, weak: bool = False) -> ReceiverT:  # type: ignore[override]  # typed more narrowly on purpose
        """Connect ``receiver``, for one ``sender`` (an app) or for any.

        It is held strongly unless ``weak``. Raises
        :class:`~flask_whop.errors.ReceiverError` if it could not be called.
        """
        return self.add(receiver, sender, weak)

    def connect_via(self, sender: object, weak: bool = False) -> Callable[[ReceiverT], ReceiverT]:  # type: ignore[override]  # typed more narrowly on purpose
        """Connect the decorated function for ``sender`` alone, and drop it with that app."""
        return partial(self.connect, sender=sender, weak=weak)


class EventSignal(AppSignal, Generic[EventT]):
    """The signal of one type of event; receivers are called ``receiver(app, event=event)``."""

    def __init__(self, event_type: str) -> None:
        super().__init__(event_type.replace(".", "_"), ("event",), f"Sent for each event {event_type!r}.")
        self.event_type = event_type

    @property
    def event_class(self) -> type[EventT]:
        """The class of the events that are sent."""
        return cast("type[EventT]", event_class(self.event_type) or UnknownEvent)

    def connect(  # type: ignore[override]  # noqa: PLR0913  # typed more narrowly on purpose, and each by its name
        self,
        receiver: Receiver[EventT, ResultT],
        sender: object = ANY,
        weak: bool = False,
        *,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
    ) -> Callable[..., ResultT]:
        """Connect ``receiver``, for one ``sender`` (an app) or for any.

        It is held strongly unless ``weak``; one that is tied to an app goes with the
        app. ``name`` tells it from others in receipts and logs, and is
        ``module:qualname`` where it is left out; ``was`` are the names that it had
        before, whose receipts it takes over. With ``skip_stale`` it is passed over
        where it has handled a newer event about the same resource.

        Raises :class:`~flask_whop.errors.ReceiverError` if it could not be called, and
        :class:`~flask_whop.errors.SetupError` if another receiver of that name would be
        called for the same event.
        """
        return self.add(receiver, sender, weak, name=name, skip_stale=skip_stale, was=was)

    def connect_via(  # type: ignore[override]  # typed more narrowly on purpose
        self,
        sender: object,
        weak: bool = False,
        *,
        name: str | None = None,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
    ) -> Connector[EventT]:
        """Connect the decorated function for ``sender`` alone, and drop it with that app.

        For the rest see :meth:`connect`.
        """
        connect = partial(self.connect, sender=sender, weak=weak, name=name, skip_stale=skip_stale, was=was)
        return cast("Connector[EventT]", connect)

    @contextmanager
    def connected_to(
        self, receiver: Receiver[EventT, object], sender: object = ANY, *, name: str | None = None
    ) -> Iterator[None]:
        """Connect ``receiver`` while a ``with`` block runs; made for tests."""
        self.connect(receiver, sender, name=name)
        try:
            yield
        finally:
            self.disconnect(receiver)

    def giving_way(self, receiver: Callable[..., object], sender: object, terms: Terms) -> list[Rival]:
        """Those whom a reload of their module replaces; raise if another receiver has the name."""
        try:
            return self._replaced(receiver, sender, terms)
        except SetupError:
            gc.collect()  # it may be of an app that is gone, and was not collected yet
        return self._replaced(receiver, sender, terms)

    def _replaced(self, receiver: Callable[..., object], sender: object, terms: Terms) -> list[Rival]:
        rivals = list(self._rivals(_id(receiver), _sender_id(sender), terms))
        for rival in rivals:
            if not rival.gives_way_to(receiver, terms):
                raise clash(receiver, terms, rival, self.name)
        return rivals

    def _rivals(self, receiver_id: object, sender_id: object, terms: Terms) -> Iterator[Rival]:
        """The other receivers that an event could come to, for one app, and whose receipts have a name of ``terms``."""
        for (other_id, others_sender), several in list(self._terms.items()):
            if other_id == receiver_id or not self._is_connected(other_id, others_sender):
                continue
            if sender_id != others_sender and 0 not in (sender_id, others_sender):
                continue
            for one in several:
                if terms.shared_name(one) and terms.meet(one) and (other := self._held(other_id)) is not None:
                    yield Rival(other, one, (other_id, others_sender))


class UnknownEventSignal(EventSignal[UnknownEvent]):
    """The signal of the events whose type this release does not know."""

    def __init__(self) -> None:
        super().__init__("unknown_event")

    def calls_for_type(self, sender: object, event_type: str) -> list[Call]:
        """The receivers to be called for ``event_type``, in the order of connection."""
        calls: list[Call] = []
        for _, receiver, several in self._connected(sender):
            terms = next((terms for terms in reversed(several) if terms.take(event_type)), None)
            if terms is not None:
                calls.append(terms.call(receiver))
        return calls


class _Dead:
    """Stands in for a receiver that was never connected."""


_DEAD = ref(_Dead())
_MUTED = Snapshot(None, ())
_NONE: frozenset[object] = frozenset()
_connecting = RLock()
_by_order = itemgetter(0)


def _id(obj: object) -> object:
    """What Blinker knows an object by; a bound method is made anew each time it is read."""
    if isinstance(obj, MethodType):
        return id(obj.__func__), id(obj.__self__)
    return id(obj)


def _sender_id(sender: object) -> object:
    return 0 if sender is ANY else _id(sender)


def _same(receiver: ReceiverT) -> ReceiverT:
    return receiver


def _real(sender: object) -> object:
    """The app behind ``current_app``, since senders are compared by identity."""
    unwrap = getattr(sender, "_get_current_object", None)
    return unwrap() if unwrap is not None else sender


def _kept_by(sender: object) -> dict[object, object] | None:
    extensions = getattr(sender, "extensions", None)
    return None if extensions is None else cast("dict[object, object]", extensions.setdefault(KEPT, {}))
