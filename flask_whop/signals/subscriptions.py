"""What is kept of a receiver that is connected, and who cannot be connected beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from itertools import count
from typing import Final, NamedTuple

from flask_whop.errors import SetupError
from flask_whop.names import innermost, name_of, namespace_of, plain

_WILD: Final = re.compile(r"[][*?]")

_numbers = count()


class Call(NamedTuple):
    """A receiver that is to be called."""

    name: str
    """What it is called in receipts and logs."""
    receiver: Callable[..., object]
    skip_stale: bool = False
    """Whether it wants the events of a resource in order: it is passed over where it has handled a newer one."""
    was: tuple[str, ...] = ()
    """Its former names, whose receipts are its own."""


class Terms(NamedTuple):
    """How a receiver is connected for one sender, in all that Blinker does not know of."""

    name: str
    skip_stale: bool
    was: tuple[str, ...]
    patterns: tuple[str, ...]
    """The types of unknown events that it takes; empty for all."""
    module: object
    """The module's spec at that time, which is another after a reload."""
    order: int

    @classmethod
    def of(
        cls,
        receiver: Callable[..., object],
        name: str | None,
        *,
        skip_stale: bool,
        was: str | Sequence[str],
        patterns: Sequence[str],
    ) -> Terms:
        """Put down how ``receiver`` is to be connected, with names as receipts have them."""
        named = plain(name or name_of(receiver))
        former = dict.fromkeys(plain(one) for one in _several(was))
        former.pop(named, None)
        module = namespace_of(receiver).get("__spec__")
        return cls(named, skip_stale, tuple(former), tuple(patterns), module, next(_numbers))

    def call(self, receiver: Callable[..., object]) -> Call:
        """The call of ``receiver`` on these terms."""
        return Call(self.name, receiver, self.skip_stale, self.was)

    def take(self, event_type: str) -> bool:
        """Whether an unknown event of this type is for this receiver."""
        return not self.patterns or any(fnmatchcase(event_type, pattern) for pattern in self.patterns)

    def shared_name(self, other: Terms) -> str | None:
        """A name by which receipts are kept on both terms."""
        if self.name in (other.name, *other.was):
            return self.name
        return other.name if other.name in self.was else None

    def meet(self, other: Terms) -> bool:
        """Whether one event can be for both."""
        several, others = self.patterns, other.patterns
        return not several or not others or any(_meet(one, another) for one in several for another in others)


class Connection(NamedTuple):
    """What it takes to connect a receiver again as it was connected."""

    held: Callable[[], Callable[..., object] | None]
    """Gives the receiver; None if it was held weakly, and is gone."""
    weak: bool
    terms: tuple[Terms, ...]


class Rival(NamedTuple):
    """A receiver that is connected already, and shares a name with one that is to be."""

    receiver: Callable[..., object]
    terms: Terms
    ids: tuple[object, object] = (None, None)
    """What Blinker knows receiver and sender by."""

    def gives_way_to(self, receiver: Callable[..., object], terms: Terms) -> bool:
        """Whether ``receiver`` is the same definition, made anew by a reload of its module."""
        before, after = _definition(self.receiver), _definition(receiver)
        if after is None or before != after or innermost(self.receiver) is innermost(receiver):
            return False
        names = namespace_of(receiver)
        if "__file__" not in names:
            return "<lambda>" not in after  # typed in once more, in a notebook
        return names is not namespace_of(self.receiver) or self.terms.module is not terms.module


def clash(receiver: Callable[..., object], terms: Terms, rival: Rival, where: str) -> SetupError:
    """The error of a receiver that shares a name with one that is connected to ``where``."""
    name = terms.shared_name(rival.terms)
    if terms.name != rival.terms.name:
        return SetupError(
            f"A receiver of {where} is called {name}, and another has been, by its was=: the receipts of the one would"
            " be taken for the other's. Strike that name from was=, or give the receiver that has it now another."
        )
    if name_of(rival.receiver) == name_of(receiver) and _module(rival.receiver) != _module(receiver):
        return SetupError(
            f"{name} is connected to {where} twice, by a module that ran twice: as {_module(rival.receiver)} and as"
            f" {_module(receiver)}. Move what other modules import out of the file that python is started with, or"
            " start it by flask --app."
        )
    return SetupError(
        f"A receiver called {name} is connected to {where} already, and the receipts of two would be mixed up. Give"
        " this one a name= of its own. If an application factory connects it, tie it to the app: connect_via(app), or"
        " @whop.on(…) of an extension that is made in the factory. A decorator without functools.wraps names alike all"
        " that it decorates."
    )


def _definition(receiver: Callable[..., object]) -> str | None:
    """Where the function of ``receiver`` stands in its module; None if that is in another function."""
    place = getattr(innermost(receiver), "__qualname__", "<locals>")
    return None if "<locals>" in place else f"{_module(receiver)}:{place}"


def _module(receiver: Callable[..., object]) -> str | None:
    name = namespace_of(receiver).get("__name__")
    return name if isinstance(name, str) else None


def _several(was: str | Sequence[str]) -> tuple[str, ...]:
    names = [was] if isinstance(was, str) else was
    if not isinstance(names, Sequence) or not all(isinstance(name, str) and name for name in names):
        raise SetupError(f'was= takes a former name, or several: was="shop:fulfil". It got {was!r}.')
    return tuple(names)


def _meet(one: str, other: str) -> bool:
    """Whether a type can match both patterns: their fixed beginnings and ends have to fit each other."""
    begin, begins = _WILD.split(one)[0], _WILD.split(other)[0]
    end, ends = _WILD.split(one)[-1], _WILD.split(other)[-1]
    return (begin.startswith(begins) or begins.startswith(begin)) and (end.endswith(ends) or ends.endswith(end))
