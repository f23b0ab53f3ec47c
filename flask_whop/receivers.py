"""The kinds of signals, and what it takes to be a receiver of one.

They are Blinker's :class:`~blinker.NamedSignal` with four promises more: receivers are
held strongly unless asked otherwise, those that are tied to an app go with that app,
all are called in the order in which they were connected, and a function that could not
be called is refused when it is connected.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from functools import partial
from importlib.util import find_spec
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast
from weakref import WeakSet, ref

from blinker import ANY, NamedSignal

from flask_whop.errors import MissingExtraError, ReceiverError
from flask_whop.events import AnyEvent, UnknownEvent, event_class
from flask_whop.naming import name_of as name_of
from flask_whop.texts import storable

if TYPE_CHECKING:
    from flask import Flask

log: logging.Logger = logging.getLogger("flask_whop")

EventT = TypeVar("EventT", bound=AnyEvent)
EventT_contra = TypeVar("EventT_contra", contravariant=True)
ReceiverT = TypeVar("ReceiverT", bound=Callable[..., object])
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Call(NamedTuple):
    """A receiver that is to be called."""

    name: str
    """What it is called in receipts and logs."""
    receiver: Callable[..., object]
    skip_stale: bool = False
    """Whether it is passed over where a newer event of the same resource has been processed."""
    was: tuple[str, ...] = ()
    """Names that it had before, whose receipts are its own."""


class Connection(NamedTuple):
    """What it takes to connect a receiver again as it was connected."""

    held: Callable[[], Callable[..., object] | None]
    """Gives the receiver; None if it was held weakly, and is gone."""
    weak: bool
    name: str
    skip_stale: bool


KEPT = "whop.receivers"
"""Where in ``app.extensions`` the receivers are kept that are tied to the app."""


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
        self._keywords = dict.fromkeys(keywords)
        self._calls: dict[object, tuple[str, bool]] = {}
        self._apps: WeakSet[object] = WeakSet()
        self._muted: ContextVar[bool] = ContextVar(f"{name} muted", default=False)

    def add(
        self,
        receiver: ReceiverT,
        sender: object = ANY,
        weak: bool = False,
        *,
        name: str | None = None,
        skip_stale: bool = False,
    ) -> ReceiverT:
        """Connect ``receiver``; the typed ``connect`` of each kind of signal leads here."""
        _check_callable(receiver, self._keywords)
        sender = _real(sender)
        kept = _kept_by(sender)
        receiver_id = _id(receiver)
        # As a receipt has it, since that is what it is compared with.
        named = storable(name or name_of(receiver))
        self._warn_of_pile(receiver_id, named, sender)
        for gone in self._calls.keys() - self.receivers.keys():
            del self._calls[gone]
        already_strong = not isinstance(self.receivers.get(receiver_id, _DEAD), ref)
        # What is tied to an app is held by the app alone: held here, it would keep the app
        # alive, for it mostly is a closure that knows the app.
        held_by_app = kept is not None and not weak
        super().connect(receiver, sender, weak=(weak or held_by_app) and not already_strong)
        if kept is not None and held_by_app:
            kept[(id(self), receiver_id)] = receiver
            self._apps.add(sender)
        self._calls[receiver_id] = (named, skip_stale)
        return receiver

    def disconnect(self, receiver: Callable[..., object], sender: object = ANY) -> None:
        """Disconnect ``receiver`` from ``sender``, or from all senders."""
        sender = _real(sender)
        super().disconnect(receiver, sender)
        for app in self._apps if sender is ANY else (sender,):
            (_kept_by(app) or {}).pop((id(self), _id(receiver)), None)

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
        """The receivers to be called for ``sender``, with their names, in the order of connection."""
        if not self.receivers or self._muted.get():
            return []
        wanted = self._by_sender[0] | self._by_sender.get(_id(_real(sender)), set())
        calls: list[Call] = []
        for receiver_id, held in list(self.receivers.items()):
            if receiver_id in wanted:
                receiver = held() if isinstance(held, ref) else held
                if receiver is not None:
                    name, skip_stale = self._calls[receiver_id]
                    calls.append(Call(name, receiver, skip_stale))
        return calls

    def connections(self, sender: object) -> dict[object, Connection]:
        """What is connected for exactly ``sender``, by Blinker's ids of the receivers."""
        wanted = self._by_sender.get(0 if sender is ANY else _id(sender), ())
        kept = (_kept_by(sender) or {}) if wanted else {}
        found: dict[object, Connection] = {}
        for receiver_id, held in list(self.receivers.items()) if wanted else ():
            receiver = held() if isinstance(held, ref) else held
            if receiver_id in wanted and receiver is not None:
                weak = isinstance(held, ref) and (id(self), receiver_id) not in kept
                found[receiver_id] = Connection(
                    held if weak else partial(_same, receiver), weak, *self._calls[receiver_id]
                )
        return found

    def _warn_of_pile(self, receiver_id: object, name: str, sender: object) -> None:
        if sender is not ANY or "<locals>" not in name:
            return
        if any(
            other == name and key != receiver_id for key, (other, _) in self._calls.items() if key in self.receivers
        ):
            log.warning(
                "%s is connected to %s more than once, and each of them will be called. Connected inside an"
                " application factory, a receiver should be tied to its app: @whop.on(…), or"
                " connect_via(app).",
                name,
                self.name,
            )


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

    def connect(  # type: ignore[override]  # typed more narrowly on purpose
        self,
        receiver: Receiver[EventT, ResultT],
        sender: object = ANY,
        weak: bool = False,
        *,
        name: str | None = None,
    ) -> Callable[..., ResultT]:
        """Connect ``receiver``, for one ``sender`` (an app) or for any.

        It is held strongly unless ``weak``; one that is tied to an app goes with the
        app. ``name`` tells it from others in receipts and logs, and is
        ``module:qualname`` where it is left out. Raises
        :class:`~flask_whop.errors.ReceiverError` if it could not be called.
        """
        return self.add(receiver, sender, weak, name=name)

    def connect_via(self, sender: object, weak: bool = False) -> Connector[EventT]:  # type: ignore[override]  # typed more narrowly on purpose
        """Connect the decorated function for ``sender`` alone, and drop it with that app."""
        return cast("Connector[EventT]", partial(self.connect, sender=sender, weak=weak))

    def connected_to(  # type: ignore[override]  # typed more narrowly on purpose
        self, receiver: Receiver[EventT, object], sender: object = ANY
    ) -> AbstractContextManager[None]:
        """Connect ``receiver`` while a ``with`` block runs; made for tests."""
        return super().connected_to(receiver, sender)


class UnknownEventSignal(EventSignal[UnknownEvent]):
    """The signal of the events whose type this release does not know."""

    def __init__(self) -> None:
        super().__init__("unknown_event")
        self._patterns: dict[object, tuple[str, ...]] = {}

    def add(
        self,
        receiver: ReceiverT,
        sender: object = ANY,
        weak: bool = False,
        *,
        name: str | None = None,
        skip_stale: bool = False,
    ) -> ReceiverT:
        """Connect ``receiver`` for every type."""
        # Ids come a second time: one that is gone may have left its patterns.
        self._patterns.pop(_id(receiver), None)
        return super().add(receiver, sender, weak, name=name, skip_stale=skip_stale)

    def connect_pattern(
        self, receiver: Callable[..., object], app: object, patterns: Sequence[str], *, name: str, skip_stale: bool
    ) -> None:
        """Connect ``receiver`` for the types alone that match one of ``patterns``."""
        self.add(receiver, app, name=name, skip_stale=skip_stale)
        self._patterns[_id(receiver)] = tuple(patterns)

    def calls_for_type(self, sender: object, event_type: str) -> list[Call]:
        """The receivers to be called for ``event_type``, in the order of connection."""
        return [
            call
            for call in self.calls_for(sender)
            if any(fnmatchcase(event_type, pattern) for pattern in self._patterns.get(_id(call.receiver), ("*",)))
        ]


class _Dead:
    """Stands in for a receiver that was never connected."""


_DEAD = ref(_Dead())


def _id(obj: object) -> object:
    """What Blinker knows an object by; a bound method is made anew each time it is read."""
    if isinstance(obj, MethodType):
        return id(obj.__func__), id(obj.__self__)
    return id(obj)


def _same(receiver: ReceiverT) -> ReceiverT:
    return receiver


def _real(sender: object) -> object:
    """The app behind ``current_app``, since senders are compared by identity."""
    unwrap = getattr(sender, "_get_current_object", None)
    return unwrap() if unwrap is not None else sender


def _kept_by(sender: object) -> dict[object, object] | None:
    extensions = getattr(sender, "extensions", None)
    return None if extensions is None else cast("dict[object, object]", extensions.setdefault(KEPT, {}))


def _check_callable(receiver: Callable[..., object], keywords: dict[str, None]) -> None:
    if not callable(receiver):
        raise ReceiverError(f"{receiver!r} is not callable, so that it cannot be a receiver.")
    target = _function(receiver)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise ReceiverError(f"{name_of(receiver)} uses yield, so that a call would run nothing of it.")
    if inspect.iscoroutinefunction(target) and find_spec("asgiref") is None:
        raise MissingExtraError(f'{name_of(receiver)} is async, which needs: pip install "flask-whop[async]"')
    try:
        signature = inspect.signature(receiver)
    except (TypeError, ValueError):
        return  # written in C, without a signature to look at
    try:
        signature.bind(None, **keywords)
    except TypeError as error:
        wanted = ", ".join(("app", *keywords))
        raise ReceiverError(
            f"{name_of(receiver)}{signature} could not be called with ({wanted}): {error}. The first is passed"
            f" by position and the others by name; write def receiver({wanted}, **extra)."
        ) from None


def _function(receiver: Callable[..., object]) -> Any:
    """What says whether a call gives a coroutine or a generator."""
    while isinstance(receiver, partial):
        receiver = receiver.func
    return receiver if inspect.isroutine(receiver) else type(receiver).__call__
