"""What is true in the imagined shop that samples are about: a pottery school called Kiln & Clay.

``shop.json`` says it for each *thing* (a payment, a user, an address), ``occasions.json``
says what is different when an event happens. Both of Whop's shapes are filled from the
same facts, so they tell of the same event.

In a text, ``@-3d`` is three days before the event, and ``^+2s`` two seconds into the
scenario; ``|date`` at the end keeps the date alone. ``#user`` is the id of the user,
``#payment/2`` that of a second payment, and ``{name}`` something about the person. A list
where Whop has one word gives the word of each shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pydantic import JsonValue

Facts: TypeAlias = "Mapping[str, Mapping[str, JsonValue]]"
"""Values by thing and field."""

FIRST_MOMENT: Final = datetime(2026, 11, 2, 10, tzinfo=timezone.utc)
"""When an event happens if nobody says when."""

UNSAID: Final = object()
"""Stands for what no fact says."""


class _Shop(NamedTuple):
    people: Sequence[str]
    constant: Sequence[str]
    prefixes: Mapping[str, str]
    same: Mapping[str, str]
    shared: Mapping[str, JsonValue]
    things: Facts


class _Occasions(NamedTuple):
    root: Mapping[str, str]
    same: Mapping[str, str]
    events: Mapping[str, Facts]


class Person(NamedTuple):
    """Whom a sample is about."""

    name: str
    first: str
    last: str
    username: str
    email: str
    phone: str


@dataclass(frozen=True)
class Scene:
    """One event in the shop: what happens, when, and to whom."""

    event_type: str
    key: str = ""
    """Ids and the person depend on it; the empty one is that of :func:`~flask_whop.testing.sample`."""
    now: datetime = FIRST_MOMENT
    began: datetime = FIRST_MOMENT
    """When the scenario began."""
    told: Sequence[Facts] = ()
    """What is said about this scene alone, the most important first."""
    step: int = 0
    """Which event of a scenario it is."""
    asked: set[tuple[str, str]] = field(default_factory=set)
    """The things and fields that it has."""

    @cached_property
    def root(self) -> str:
        """The thing that the event is about."""
        root, family = _occasions().root, self._plain_type.split(".", maxsplit=1)[0]
        return root.get(self._plain_type) or root.get(family) or self.thing(family)

    @property
    def seeds(self) -> Sequence[str]:
        """What ids depend on, besides what they identify."""
        return [self.key] if self.key else []

    @property
    def previous(self) -> dict[str, JsonValue]:
        """The old values of what an ``.updated`` event changed."""
        said = next((facts["previous_attributes"] for facts in self._layers if "previous_attributes" in facts), {})
        return {name: self.resolved(value) for name, value in said.items()}

    @cached_property
    def person(self) -> Person:
        """Whom it's about."""
        person = _person(self.key)
        told = {name: str(value) for name in Person._fields if (value := self._told("user", name)) is not UNSAID}
        return person._replace(**told)

    def thing(self, name: str, parent: str = "") -> str:
        """Return the thing that a field called ``name`` of ``parent`` holds."""
        same = _shop().same
        for known in (f"{parent}.{name}", name):
            if known in same:
                return same[known]
        return name

    def said(self, thing: str, name: str) -> JsonValue | object:
        """Return what is said about a field of a thing; :data:`UNSAID` if nothing is."""
        told = self._told(thing, name)
        if told is not UNSAID and name != "id":
            return told
        for facts in self._layers:
            if thing in facts and name in facts[thing]:
                return self.resolved(facts[thing][name])
        return UNSAID

    def shared(self, name: str) -> JsonValue | object:
        """Return what is said about a field of any thing; :data:`UNSAID` if nothing is."""
        shared = _shop().shared
        return self.resolved(shared[name]) if name in shared else UNSAID

    def identifier(self, thing: str) -> str:
        """Return an id in Whop's format; within a scene, a thing has the same one everywhere."""
        # A scenario's second payment isn't the first one, whose id may be replaced.
        for facts in self.told[1:]:
            if "id" in facts.get(thing, {}):
                return str(self.resolved(facts[thing]["id"]))
        told = self._told(thing, "id")
        if told is not UNSAID:
            return str(told)
        constant = thing == "account" or (thing in _shop().constant and thing != self.root)
        return f"{_shop().prefixes[thing.partition('/')[0]]}_{letters(thing, *([] if constant else self.seeds))}"

    def resolved(self, value: JsonValue) -> JsonValue:
        """Return a value with its times, ids and names filled in."""
        if isinstance(value, dict):
            return {name: self.resolved(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.resolved(each) for each in value]
        if not isinstance(value, str):
            return value
        if value.startswith("#"):
            return self.identifier(value[1:])
        if value.startswith(("@", "^")):
            return self._time(value)
        return _NAME.sub(self._named, value) if "{" in value else value

    @cached_property
    def _layers(self) -> Sequence[Facts]:
        events, family = _occasions().events, self._plain_type.rsplit(".", maxsplit=1)[0]
        occasion = [events[name] for name in (self._plain_type, f"{family}.*") if name in events]
        return [*self.told[1:], *occasion, _shop().things]

    def _told(self, thing: str, name: str) -> JsonValue | object:
        self.asked.add((thing, name))
        return self.told[0].get(thing, {}).get(name, UNSAID) if self.told else UNSAID

    @cached_property
    def _plain_type(self) -> str:
        return _occasions().same.get(self.event_type, self.event_type)

    def _time(self, text: str) -> str:
        text, _, only_date = text.partition("|")
        when = (self.now if text[0] == "@" else self.began) + duration(text[1:])
        return when.date().isoformat() if only_date else iso(when)

    def _named(self, match: re.Match[str]) -> str:
        name = match[1]
        return str(getattr(self.person, name)) if name in Person._fields else self.identifier(name)


_NAME = re.compile(r"\{(\w+)\}")
_DURATION = re.compile(r"(\d+)([dhms])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def duration(text: str) -> timedelta:
    """Return the length of time that a text such as ``-3d12h`` says; an empty one is none."""
    length = timedelta(**{_UNITS[unit]: int(number) for number, unit in _DURATION.findall(text)})
    return -length if text.startswith("-") else length


def iso(when: datetime) -> str:
    """Write a time as Whop does: ISO 8601 in UTC, to the millisecond."""
    return when.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def letters(*seeds: str) -> str:
    """Return fourteen letters and digits that depend on ``seeds`` only."""
    number = int.from_bytes(sha256("/".join(seeds).encode()).digest()[:12], "big")
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    chosen = []
    for _ in range(14):
        number, index = divmod(number, len(alphabet))
        chosen.append(alphabet[index])
    return "".join(chosen)


@cache
def prefixes() -> frozenset[str]:
    """Return the prefixes of Whop's ids."""
    return frozenset({*_shop().prefixes.values(), "app", "hook"})


@cache
def _person(key: str) -> Person:
    people = _shop().people
    number = int.from_bytes(sha256(f"person/{key}".encode()).digest()[:4], "big") if key else 0
    name = people[number % len(people)]
    first, last = name.split()
    # Nobody else has the address: receivers look people up by it.
    plain = first.translate(_PLAIN).lower()
    handle = f"{plain}.{letters('handle', key)[:8].lower()}" if key else plain
    # Numbers that Ofcom keeps free for such use: 020 7946 0000 to 0999.
    phone = f"+442079460{number % 900 + 100}" if key else "+442079460123"
    return Person(name, first, last, handle, f"{handle}@example.com", phone)


_PLAIN = str.maketrans("ëá", "ea")


@cache
def _shop() -> _Shop:
    return _Shop(**json.loads(_text("shop.json")))


@cache
def _occasions() -> _Occasions:
    return _Occasions(**json.loads(_text("occasions.json")))


def _text(name: str) -> str:
    return files("flask_whop.events.samples").joinpath(name).read_text(encoding="utf-8")
