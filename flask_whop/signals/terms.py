"""What a signal knows about each connected receiver, and which receivers can't be connected side by side."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from flask_whop.errors import ReceiverError, SetupError
from flask_whop.names import innermost, name_of, namespace_of, storable_name
from flask_whop.signals.checks import unrun

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    from flask_whop.events import AnyEvent

    EventT = TypeVar("EventT", bound=AnyEvent)

    class Options(TypedDict, Generic[EventT], total=False):
        """What the ways to connect a receiver take by name."""

        name: str | None
        skip_stale: bool
        was: str | Sequence[str]
        when: Callable[[EventT], object] | None
        once_per: Callable[[EventT], object] | None
        accounts: str | Sequence[str]


_WILD: Final = re.compile(r"[][*?]")

_numbers = count()


class Condition(NamedTuple):
    """Which events a receiver wants of those it is connected to."""

    when: Callable[[Any], object] | None
    accounts: frozenset[str]
    """Empty for all."""

    def refuses(self, event: AnyEvent) -> str | None:
        """Say why the receiver doesn't want ``event``; None if it does. Raises what ``when`` raises."""
        if self.accounts and event.account_id not in self.accounts:
            return "Not called: the event is of an account that its accounts= doesn't list."
        if self.when is None:
            return None
        met = self.when(event)
        if (left := unrun(met)) is not None or inspect.isawaitable(met):
            close = getattr(met, "close", None)
            if close is not None:
                close()
            raise ReceiverError(f"The condition (when=) returned {left or 'a coroutine'}, which would always be true.")
        return None if met else "Not called: its condition (when=) isn't met."


class Call(NamedTuple):
    """A receiver to be called."""

    name: str
    """Its name in receipts and logs."""
    receiver: Callable[..., object]
    skip_stale: bool = False
    """Whether it skips an event if it has handled a newer one about the same resource."""
    was: tuple[str, ...] = ()
    """Its former names, whose receipts it takes over."""
    condition: Condition | None = None
    by_pattern: bool = False
    """Whether it was connected by a pattern, so not to answer this event."""
    once_per: Callable[[Any], object] | None = None
    """Gives the key of an event, of which it does one."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names under which it has receipts, the current one first."""
        return (self.name, *self.was)


class Terms(NamedTuple):
    """How a receiver is connected for one sender, beyond what Blinker knows."""

    name: str
    skip_stale: bool
    was: tuple[str, ...]
    patterns: tuple[str, ...]
    """The types of unknown events that it takes; empty for all."""
    module: object
    """The spec of its module when it was connected; a reload makes a new one."""
    order: int
    condition: Condition | None = None
    by_pattern: bool = False
    """Whether a pattern took the event, rather than its class or name."""
    once_per: Callable[[Any], object] | None = None

    @classmethod
    def of(  # noqa: PLR0913  # each by its name
        cls,
        receiver: Callable[..., object],
        name: str | None = None,
        *,
        skip_stale: bool = False,
        was: str | Sequence[str] = (),
        patterns: Sequence[str] = (),
        when: Callable[[Any], object] | None = None,
        accounts: str | Sequence[str] = (),
        once_per: Callable[[Any], object] | None = None,
    ) -> Terms:
        """Make the terms of ``receiver``, with names as receipts spell them."""
        current = storable_name(name or name_of(receiver))
        former = dict.fromkeys(map(storable_name, _texts("was", was, "one or more former names", "shop:fulfil")))
        former.pop(current, None)
        module = namespace_of(receiver).get("__spec__")
        condition = _condition(when, accounts)
        _check_function("once_per", once_per)
        if once_per is not None and skip_stale:
            raise SetupError("once_per= and skip_stale= can't be combined: connect two receivers.")
        order = next(_numbers)
        return cls(current, skip_stale, tuple(former), tuple(patterns), module, order, condition, once_per=once_per)

    @property
    def names(self) -> tuple[str, ...]:
        """The current name, then the former ones."""
        return (self.name, *self.was)

    def call(self, receiver: Callable[..., object]) -> Call:
        """Make the call of ``receiver`` on these terms."""
        return Call(self.name, receiver, self.skip_stale, self.was, self.condition, self.by_pattern, self.once_per)

    def take(self, event_type: str) -> bool:
        """Whether the receiver takes an unknown event of this type."""
        return not self.patterns or any(fnmatchcase(event_type, pattern) for pattern in self.patterns)

    def shared_name(self, other: Terms) -> str | None:
        """A name under which receipts of both are kept, if there is one."""
        if self.name in other.names:
            return self.name
        return other.name if other.name in self.was else None

    def meet(self, other: Terms) -> bool:
        """Whether one event can go to both."""
        if not self.patterns or not other.patterns:
            return True
        return any(_meet(pattern, another) for pattern in self.patterns for another in other.patterns)


class Connection(NamedTuple):
    """One receiver, connected for one sender."""

    receiver: Callable[[], Callable[..., object] | None]
    """Returns the receiver; None if it was held weakly and is gone."""
    weak: bool
    terms: tuple[Terms, ...]
    """Several if it takes several patterns of unknown events on different terms."""

    @property
    def alive(self) -> bool:
        """Whether the receiver still exists."""
        return self.receiver() is not None


class Rival(NamedTuple):
    """A connected receiver that shares a name with one about to be connected."""

    receiver: Callable[..., object]
    terms: Terms
    sender: object = None

    def gives_way_to(self, receiver: Callable[..., object], terms: Terms) -> bool:
        """Whether ``receiver`` is the same definition again, after a reload of its module."""
        before, after = _definition(self.receiver), _definition(receiver)
        if after is None or before != after or innermost(self.receiver) is innermost(receiver):
            return False
        namespace = namespace_of(receiver)
        if "__file__" not in namespace:
            return "<lambda>" not in after  # a notebook cell that was run again
        return namespace is not namespace_of(self.receiver) or self.terms.module is not terms.module


def clash(receiver: Callable[..., object], terms: Terms, rival: Rival, where: str) -> SetupError:
    """Make the error for a receiver whose name is taken at ``where``."""
    name = terms.shared_name(rival.terms)
    if terms.name != rival.terms.name:
        return SetupError(
            f"One receiver of {where} is called {name}, and another was called that before (was=), so their receipts"
            " would be mixed up. Remove the name from was=, or give the receiver that has it now another name."
        )
    if name_of(rival.receiver) == name_of(receiver) and _module(rival.receiver) != _module(receiver):
        return SetupError(
            f"{name} is connected to {where} twice, by a module that ran twice: as {_module(rival.receiver)} and as"
            f" {_module(receiver)}. Move what other modules import out of the file that python is started with, or"
            " start it with flask --app."
        )
    return SetupError(
        f"A receiver called {name} is already connected to {where}, and the receipts of the two would be mixed up."
        " Give this one its own name=. If an application factory connects it, tie it to the app: connect_via(app), or"
        " @whop.on(…) of an extension made in the factory. A decorator without functools.wraps gives everything it"
        " decorates the same name."
    )


def _definition(receiver: Callable[..., object]) -> str | None:
    """Where a module defines the receiver's function; None if it's defined inside another function."""
    place = getattr(innermost(receiver), "__qualname__", "<locals>")
    return None if "<locals>" in place else f"{_module(receiver)}:{place}"


def _module(receiver: Callable[..., object]) -> str | None:
    name = namespace_of(receiver).get("__name__")
    return name if isinstance(name, str) else None


def _condition(when: Callable[[Any], object] | None, accounts: str | Sequence[str]) -> Condition | None:
    _check_function("when", when)
    wanted = frozenset(_texts("accounts", accounts, "one or more account ids", "biz_…"))
    return Condition(when, wanted) if when is not None or wanted else None


def _check_function(option: str, given: Callable[[Any], object] | None) -> None:
    if given is not None and not callable(given):
        raise SetupError(f"{option}= takes a function of the event: {option}=lambda event: …. It got {given!r}.")
    if inspect.iscoroutinefunction(given):
        raise SetupError(f"{option}= takes a plain function: a coroutine would always count as true.")


def key_of(function: Callable[[Any], object], event: AnyEvent) -> str | None:
    """Return the key that ``once_per`` gives for an event; None if it gives none, so the event counts on its own.

    Raises what the function raises, and :class:`~flask_whop.errors.ReceiverError` for what
    can't be a key.
    """
    key = function(event)
    if key is None:
        return None
    if isinstance(key, bool) or not isinstance(key, (str, int)) or key == "":
        raise ReceiverError(f"once_per= must give a text or a whole number, or None; it gave {type(key).__qualname__}.")
    return f"{type(key).__name__}:{key}"


def _texts(option: str, given: str | Sequence[str], what: str, example: str) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) and text for text in texts):
        raise SetupError(f'{option}= takes {what}: {option}="{example}". It got {given!r}.')
    return tuple(texts)


def _meet(pattern: str, other: str) -> bool:
    """Whether one type can match both patterns: their literal beginnings and ends must fit each other."""
    begin, begins = _WILD.split(pattern)[0], _WILD.split(other)[0]
    end, ends = _WILD.split(pattern)[-1], _WILD.split(other)[-1]
    return (begin.startswith(begins) or begins.startswith(begin)) and (end.endswith(ends) or ends.endswith(end))
