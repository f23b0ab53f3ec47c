"""The kinds of signals: one event's, unknown events', and the reports on what happens to deliveries."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from blinker import ANY

from flask_whop.errors import SetupError
from flask_whop.events import UnknownEvent, event_class
from flask_whop.signals.app_signal import ALL, AppSignal, ReceiverT, id_of, id_of_sender, nobody
from flask_whop.signals.terms import Call, Rival, Terms, clash

if TYPE_CHECKING:
    from flask import Flask
    from typing_extensions import Unpack

    from flask_whop.events import AnyEvent
    from flask_whop.signals.terms import Options

EventT = TypeVar("EventT", bound="AnyEvent")
EventT_contra = TypeVar("EventT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Receiver(Protocol[EventT_contra, ResultT_co]):
    """A function that can be connected to the signal of an event.

    It takes the app by position and the event by name, and may take more by name, all
    with defaults (usually ``**extra``). It may be ``async``.
    """

    def __call__(self, app: Flask, /, *, event: EventT_contra) -> ResultT_co:
        """Handle ``event``: return when done, raise if not."""
        ...


class Connector(Protocol[EventT_contra]):  # type: ignore[misc]  # the variance is that of the receivers it takes
    """A decorator that connects a receiver and returns it.

    A checker sees the receiver as ``(...) -> ResultT`` afterwards: anything narrower would refuse
    one function under two decorators.
    """

    def __call__(self, receiver: Receiver[EventT_contra, ResultT], /) -> Callable[..., ResultT]:
        """Connect ``receiver``."""
        ...


class LifecycleSignal(AppSignal, Generic[ReceiverT]):
    """A signal that reports what happens to deliveries and can't influence it.

    What its receivers raise is logged and goes no further.
    """

    def connect(self, receiver: ReceiverT, sender: object = ANY, weak: bool = False) -> ReceiverT:  # type: ignore[override]  # typed more narrowly on purpose
        """Connect ``receiver`` for one ``sender`` (an app) or for any.

        It is held strongly unless ``weak``. Raises
        :class:`~flask_whop.errors.ReceiverError` if it couldn't be called.
        """
        self.put(receiver, sender, self.terms_for(receiver), weak=weak)
        return receiver

    def connect_via(self, sender: object, weak: bool = False) -> Callable[[ReceiverT], ReceiverT]:  # type: ignore[override]  # typed more narrowly on purpose
        """Connect the decorated function for ``sender`` alone; it goes when that app goes."""
        return partial(self.connect, sender=sender, weak=weak)


class EventSignal(AppSignal, Generic[EventT]):
    """The signal of one event type; it calls its receivers ``receiver(app, event=event)``."""

    def __init__(self, event_type: str) -> None:
        # Without its end, the v5 spelling of an app's event would have the name of the other spelling.
        name = f"{event_type.replace('.', '_')}{'_v5' if event_type.startswith('app.') else ''}"
        super().__init__(name, ("event",), f"Sent for each event {event_type!r}.")
        self.event_type = event_type

    @property
    def _title(self) -> str:
        return self.event_type

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
        when: Callable[[EventT], object] | None = None,
        accounts: str | Sequence[str] = (),
        once_per: Callable[[EventT], object] | None = None,
    ) -> Callable[..., ResultT]:
        """Connect ``receiver`` for one ``sender`` (an app) or for any.

        It is held strongly unless ``weak``; one tied to an app goes when the app goes.
        ``name`` identifies it in receipts and logs; the default is
        ``module:qualname``. ``was`` are its former names, whose receipts it takes over.
        With ``skip_stale`` it skips an event if it has handled a newer one about the
        same resource. It isn't called with an event for which ``when`` returns something
        false, or of an account that ``accounts`` doesn't list; what ``when`` raises is a
        failure of the receiver. Of all events for which ``once_per`` gives the same key it
        does one.

        Raises :class:`~flask_whop.errors.ReceiverError` if it couldn't be called, and
        :class:`~flask_whop.errors.SetupError` if another receiver of that name would be
        called for the same event.
        """
        terms = self.terms_for(
            receiver, name=name, skip_stale=skip_stale, was=was, when=when, accounts=accounts, once_per=once_per
        )
        self.put(receiver, sender, terms, weak=weak)
        return receiver

    def connect_via(  # type: ignore[override]  # typed more narrowly on purpose
        self, sender: object, weak: bool = False, **options: Unpack[Options[EventT]]
    ) -> Connector[EventT]:
        """Connect the decorated function for ``sender`` alone; see :meth:`connect`."""
        connect = partial(self.connect, sender=sender, weak=weak, **options)
        return cast("Connector[EventT]", connect)

    @contextmanager
    def connected_to(
        self, receiver: Receiver[EventT, object], sender: object = ANY, *, name: str | None = None
    ) -> Iterator[None]:
        """Connect ``receiver`` while a ``with`` block runs; meant for tests."""
        self.connect(receiver, sender, name=name)
        try:
            yield
        finally:
            self.disconnect(receiver)

    def rivals(self, receiver: Callable[..., object], sender: object, terms: Terms) -> list[Rival]:
        """Return the receivers that a reload of their module replaces; raise if another receiver has the name."""
        with suppress(SetupError):
            return self._replaced(receiver, sender, terms)
        gc.collect()  # the other one may belong to an app that is gone, but not collected yet
        return self._replaced(receiver, sender, terms)

    def _replaced(self, receiver: Callable[..., object], sender: object, terms: Terms) -> list[Rival]:
        rivals = list(self._sharing_name(receiver, sender, terms))
        for rival in rivals:
            if not rival.gives_way_to(receiver, terms):
                raise clash(receiver, terms, rival, self.name)
        return rivals

    def _sharing_name(self, receiver: Callable[..., object], sender: object, terms: Terms) -> Iterator[Rival]:
        """The other receivers that could get the same event for one app, and share a name of ``terms``."""
        sender_id = id_of_sender(sender)
        for other_sender, connections in self._alive().items():
            if sender_id != other_sender and ALL not in (sender_id, other_sender):
                continue
            for receiver_id, connection in connections.items():
                other = connection.receiver()
                if receiver_id == id_of(receiver) or other is None:
                    continue
                for others in connection.terms:
                    if terms.shared_name(others) and terms.meet(others):
                        yield Rival(
                            other, others, ANY if other_sender is ALL else self._senders.get(other_sender, nobody)()
                        )


class UnknownEventSignal(EventSignal[UnknownEvent]):
    """The signal of the events whose type this release doesn't know."""

    def __init__(self) -> None:
        super().__init__("unknown_event")

    def calls_for_type(self, sender: object, event_type: str) -> list[Call]:
        """Return the calls to make for ``event_type``, in the order of connection."""
        calls: list[Call] = []
        for _, receiver, several, _ in self._connected(sender):
            terms = next((terms for terms in reversed(several) if terms.take(event_type)), None)
            if terms is not None:
                calls.append(terms.call(receiver))
        return calls
