"""What all signals of flask_whop have in common.

They are Blinker's :class:`~blinker.NamedSignal` with five more promises: receivers are
held strongly unless you ask otherwise; those tied to an app go when the app goes; they
are called in the order in which they were connected; a function that couldn't be called
is refused at connect time; and so is a second receiver of the same name, since receipts
are kept by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from operator import itemgetter
from threading import RLock
from types import MethodType
from typing import Any, Final, NamedTuple, TypeVar, cast
from weakref import ref

from blinker import ANY, NamedSignal

from flask_whop.grammar import counted
from flask_whop.signals.checks import check_callable
from flask_whop.signals.terms import Call, Connection, Rival, Terms

ObjT = TypeVar("ObjT")
ReceiverT = TypeVar("ReceiverT", bound=Callable[..., object])

KEPT: Final = "whop.receivers"
"""The key in ``app.extensions`` under which an app holds its own receivers.

The signal holds them weakly: most are closures that know the app, and would keep it
alive.
"""

ALL: Final = object()
"""The id that stands for all senders."""


class Snapshot(NamedTuple):
    """The calls that a signal makes for one sender, valid until a connection changes."""

    version: object
    """The state of the signal; None if a receiver is held weakly and may go at any time, so don't cache it."""
    calls: tuple[Call, ...]


class AppSignal(NamedSignal):
    """A signal whose senders are apps; ``keywords`` are the names of the arguments that receivers get.

    Connect with the typed methods of its subclasses. All other methods beyond Blinker's
    are internal to flask_whop.
    """

    def __init__(self, name: str, keywords: Sequence[str], doc: str | None = None) -> None:
        super().__init__(name, doc)
        self._keywords = tuple(keywords)
        self._connections: defaultdict[object, dict[object, Connection]] = defaultdict(dict)
        """By the ids of sender and receiver. Blinker's own record has neither an order nor names."""
        self._senders: dict[object, Callable[[], object]] = {}
        self._version = object()
        """Replaced each time a connection changes."""
        self._muted: ContextVar[bool] = ContextVar(f"{name} muted", default=False)

    def __repr__(self) -> str:
        """Show the kind, the name and the number of receivers."""
        receivers = {receiver_id for connections in self._alive().values() for receiver_id in connections}
        return f"<{type(self).__name__} {self._title}: {counted(len(receivers), 'receiver')}>"

    @property
    def _title(self) -> str:
        return self.name

    # Connecting.

    def terms_for(self, receiver: Callable[..., object], **terms: Any) -> Terms:
        """Make the terms of ``receiver``, see :meth:`Terms.of`; raise if it couldn't be called."""
        check_callable(receiver, self._keywords)
        return Terms.of(receiver, **terms)

    def rivals(self, _receiver: Callable[..., object], _sender: object, _terms: Terms) -> list[Rival]:
        """Return the receivers that this one replaces; raise if it can't be connected beside another."""
        return []

    def put(self, receiver: Callable[..., object], sender: object, terms: Terms, *, weak: bool = False) -> None:
        """Connect ``receiver`` on these terms; one that is held strongly already stays so."""
        sender = _real(sender)
        with _connecting:
            rivals = self.rivals(receiver, sender, terms)
            connections = self._connections.get(id_of_sender(sender), {})
            for receiver_id in [receiver_id for receiver_id, each in dict(connections).items() if not each.alive]:
                connections.pop(receiver_id, None)  # its id may come back as another receiver's
            before = connections.get(id_of(receiver))
            earlier = before.terms if before else ()
            # A new connection on the same patterns replaces the old one and takes its place in the order.
            others = tuple(other for other in earlier if other.patterns != terms.patterns)
            terms = terms._replace(order=earlier[0].order if earlier else terms.order)
            self._hold(receiver, sender, (*others, terms), weak=weak and (before is None or before.weak))
            for rival in rivals:  # only now, since holding may have raised
                self.disconnect(rival.receiver, rival.sender)

    def restore(self, receiver: Callable[..., object], sender: object, connection: Connection) -> None:
        """Connect ``receiver`` as it was connected before, in its old place in the order."""
        with _connecting:
            self._hold(receiver, sender, connection.terms, weak=connection.weak)

    def _hold(self, receiver: Callable[..., object], sender: object, terms: tuple[Terms, ...], *, weak: bool) -> None:
        sender_id, receiver_id, held_by_app = id_of_sender(sender), id_of(receiver), None if weak else _held_by(sender)
        # Blinker holds a receiver in one way for all senders, so a weak connection mustn't replace a strong one.
        already = not isinstance(self.receivers.get(receiver_id, _GONE), ref)
        blinker_holds = not weak and held_by_app is None
        held: Callable[[], Callable[..., object] | None] = partial(_same, receiver)
        if not blinker_holds:
            try:
                held = _weak(receiver)
            except TypeError:  # nothing can, so it stays until it's disconnected, even if its app goes
                if weak and not already:
                    raise
                blinker_holds = True
        super().connect(receiver, sender, weak=not (blinker_holds or already))
        if held_by_app is not None:
            held_by_app[id(self), receiver_id] = receiver
        self._connections[sender_id][receiver_id] = Connection(held, weak, terms)
        if sender_id not in self._senders and sender_id is not ALL:
            with suppress(TypeError):  # it can't be referred to weakly, and Blinker doesn't notice its end either
                self._senders[sender_id] = _weak(sender, partial(self._forget, sender_id))
        self._version = object()

    def _forget(self, sender_id: object, _gone: object) -> None:
        self._senders.pop(sender_id, None)
        self._connections.pop(sender_id, None)

    def disconnect(self, receiver: Callable[..., object], sender: object = ANY) -> None:
        """Disconnect ``receiver`` from ``sender``, or from all senders."""
        sender = _real(sender)
        with _connecting:
            super().disconnect(receiver, sender)
            for sender_id in list(self._connections) if sender is ANY else [id_of_sender(sender)]:
                self._connections.get(sender_id, {}).pop(id_of(receiver), None)
                app = self._senders.get(sender_id, nobody)()
                (_held_by(app) or {}).pop((id(self), id_of(receiver)), None)
            self._version = object()

    def _clear_state(self) -> None:
        with _connecting:
            super()._clear_state()
            self._connections.clear()
            self._senders.clear()
            self._version = object()

    # Calling.

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Call no receivers while the block runs, in this thread or task alone.

        Blinker's own ``muted`` affects every thread, and what arrives there is lost.
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
        """Return the calls to make for ``sender``, in the order of connection.

        A receiver that is connected for ``sender`` and for all senders is called once,
        by its name for ``sender``.
        """
        return [terms[-1].call(receiver) for _, receiver, terms, _ in self._connected(sender)]

    def snapshot(self, sender: object, last: Snapshot | None) -> Snapshot:
        """Return what :meth:`calls_for` returns: ``last`` if that is still valid.

        Keep it with the sender, since it holds the receivers.
        """
        if self._muted.get():
            return _MUTED
        version = self._version
        if last is not None and last.version is version:
            return last
        connected = self._connected(sender)
        calls = tuple(terms[-1].call(receiver) for _, receiver, terms, _ in connected)
        return Snapshot(None if any(weak for *_, weak in connected) else version, calls)

    def names_for(self, sender: object) -> set[str]:
        """Return the current and former names of the receivers for ``sender``."""
        return {name for *_, several, _ in self._connected(sender) for terms in several for name in terms.names}

    def connections(self, sender: object) -> dict[object, Connection]:
        """Return the connections for exactly ``sender``, by the ids of the receivers, and hold the strong ones."""
        connections = self._alive().get(id_of_sender(_real(sender)), {})
        return {
            receiver_id: connection if connection.weak else connection._replace(receiver=partial(_same, receiver))
            for receiver_id, connection in connections.items()
            if (receiver := connection.receiver()) is not None
        }

    def _alive(self) -> dict[object, dict[object, Connection]]:
        """The connections whose receivers still exist."""
        # Copies: the garbage collector may end an app, and with it a connection, at any allocation.
        return {
            sender_id: {receiver_id: connection for receiver_id, connection in dict(of).items() if connection.alive}
            for sender_id, of in dict(self._connections).items()
        }

    def _connected(self, sender: object) -> list[tuple[int, Callable[..., object], tuple[Terms, ...], bool]]:
        """For each receiver to be called: its order, all terms that apply (this sender's last), whether it may go."""
        if not self.receivers or self._muted.get():
            return []
        found: dict[object, tuple[Callable[..., object], tuple[Terms, ...], bool]] = {}
        for sender_id in (ALL, id_of(_real(sender))):
            # A copy: see _alive.
            for receiver_id, connection in dict(self._connections.get(sender_id, _NONE)).items():
                if (receiver := connection.receiver()) is not None:
                    _, terms, weak = found.get(receiver_id, (receiver, (), True))
                    found[receiver_id] = (receiver, terms + connection.terms, weak and connection.weak)
        connected = [
            (min(terms[0].order, terms[-1].order), receiver, terms, weak) for receiver, terms, weak in found.values()
        ]
        connected.sort(key=_by_order)
        return connected


class _Gone:
    """Stands in for a receiver that was never connected."""


_GONE = ref(_Gone())
_MUTED = Snapshot(None, ())
_NONE: dict[object, Connection] = {}
_connecting = RLock()
_by_order = itemgetter(0)


def id_of(obj: object) -> object:
    """The id by which Blinker knows an object; a bound method is a new object each time it's read."""
    if isinstance(obj, MethodType):
        return id(obj.__func__), id(obj.__self__)
    return id(obj)


def id_of_sender(sender: object) -> object:
    """Return the id of a sender, or :data:`ALL`."""
    return ALL if sender is ANY else id_of(sender)


def _same(receiver: ReceiverT) -> ReceiverT:
    return receiver


def nobody() -> None:
    """Stand in for a reference to a sender that is gone."""


def _weak(obj: ObjT, gone: Callable[[object], None] | None = None) -> Callable[[], ObjT | None]:
    """Refer to a receiver or sender weakly; raise TypeError if it can't be referred to so."""
    if isinstance(obj, MethodType):
        bound = partial(_bound, ref(obj.__func__, gone), ref(obj.__self__, gone))
        return cast("Callable[[], ObjT | None]", bound)
    return ref(obj, gone)


def _bound(function: Callable[[], Callable[..., object] | None], owner: Callable[[], object]) -> MethodType | None:
    """Bind a method again, as WeakMethod does; until Python 3.11 that complains at the end of a process."""
    alive, of = function(), owner()
    return None if alive is None or of is None else MethodType(alive, of)


def _real(sender: object) -> object:
    """The app behind ``current_app``, since senders are compared by identity."""
    unwrap = getattr(sender, "_get_current_object", None)
    return unwrap() if unwrap is not None else sender


def _held_by(sender: object) -> dict[object, object] | None:
    """The receivers that an app holds; None if the sender is no app."""
    extensions = getattr(sender, "extensions", None)
    return None if extensions is None else cast("dict[object, object]", extensions.setdefault(KEPT, {}))
