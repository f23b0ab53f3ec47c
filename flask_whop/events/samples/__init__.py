"""Made-up deliveries as Whop would send them, in the shape of each version pin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from flask_whop.checks import is_pin
from flask_whop.errors import CheckFailed, UnknownEventError
from flask_whop.events import AnyEvent
from flask_whop.events.fields import fill
from flask_whop.events.registry import no_such_event
from flask_whop.events.samples.facts import UNSAID, Scene, iso, letters

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import JsonValue

    Body: TypeAlias = dict[str, JsonValue]

FIRST_ACCOUNT_ID_PIN: Final = "2026-08-14"
"""From this pin on the envelope has ``account_id``; before, ``company_id`` (Whop's versioning page)."""


_Models: TypeAlias = "Mapping[str, Mapping[str, tuple[str, list[JsonValue]]]]"
"""Whop's payload classes by name: the type of each field, and the words it may have."""

_WILDCARDS: Final = frozenset("*?[")
_LISTED: Final = 10


class _Shapes(NamedTuple):
    """What Whop sends: the class of each event's payload in both shapes, and the classes of each shape."""

    events: dict[str, tuple[str | None, str | None]]
    unpinned: _Models
    pinned: _Models


class _Payload(NamedTuple):
    """Makes the payload of a scene in one of Whop's shapes."""

    models: _Models
    scene: Scene

    def thing(self, model: str, thing: str, own: Mapping[str, JsonValue]) -> Body:
        """Return a thing as an object of the class ``model``; ``own`` is what is said about this one alone."""
        return {name: self._field(kind, thing, name, words, own) for name, (kind, words) in self.models[model].items()}

    def _field(
        self, kind: str, thing: str, name: str, words: list[JsonValue], own: Mapping[str, JsonValue]
    ) -> JsonValue:
        said = own.get(name, self.scene.said(thing, name))
        many = kind.startswith("list[")
        # Of several kinds, a sample has the first.
        kind = kind.removeprefix("list[").removesuffix("]").split(" | ", maxsplit=1)[0]
        if kind in self.models and kind != "Money":
            return self._objects(kind, self._thing_in(name, thing, many=many), said, many=many)
        if said is UNSAID:
            said = self._unsaid(kind, thing, name)
        return cast("JsonValue", said) if many else self._value(kind, thing, name, cast("JsonValue", said), words)

    def _thing_in(self, name: str, thing: str, *, many: bool) -> str:
        inner = self.scene.thing(name, thing)
        if not many or inner != name:
            return inner
        return self.scene.thing(_SINGULAR.get(name, name.removesuffix("s")), thing)

    def _objects(self, model: str, thing: str, said: JsonValue | object, *, many: bool) -> JsonValue:
        if said is None:
            return None
        if not many:
            return self.thing(model, thing, {} if said is UNSAID else cast("Body", said))
        each_own = [{}] if said is UNSAID else cast("list[Body]", said)
        return [self.thing(model, thing, own) for own in each_own]

    def _unsaid(self, kind: str, thing: str, name: str) -> JsonValue:
        if name == "id":
            return self.scene.identifier(thing)
        shared = self.scene.shared(name)
        if shared is not UNSAID:
            return cast("JsonValue", shared)
        if name.endswith("_id"):
            return self.scene.identifier(self.scene.thing(name.removesuffix("_id")))
        if kind == "bool":
            return False
        raise LookupError(f"shop.json doesn't say what {name} of {thing} is, for {self.scene.event_type}.")

    def _value(self, kind: str, thing: str, name: str, said: JsonValue, words: list[JsonValue]) -> JsonValue:
        """Return what is said in the form that this shape has for it."""
        if words and isinstance(said, list):
            return next(word for word in said if word in words)
        if kind == "Money" and isinstance(said, (str, int, float)):
            currency = "usd" if name.startswith("usd_") else self.scene.said(thing, "currency")
            digits: Body = {"decimals": 2, "display_decimals": 2}
            return {"amount": str(said), "currency": currency if isinstance(currency, str) else "usd", **digits}
        return float(said) if kind == "float" and isinstance(said, (str, int)) else said


_SINGULAR: Final = {"linked_companies": "linked_company", "cities": "city"}


def sample(event_type: str, pin: str | None = None, /, **data: JsonValue) -> Body:
    """Make the body of a delivery of ``event_type``, the same on each call.

    It's about a pottery school, and its values agree with each other. ``pin`` is the
    version the webhook is pinned to (``2026-10-15-1``). Without one the body has the older
    shape, with nested objects and bare amounts; some resources have only one shape.
    Keywords set fields of ``data``, by name or by path (``**{"user.email": …}``); an object
    is merged into the sample's. To replace fields of the envelope, merge:
    ``sample(…) | {"id": "msg_1"}``.

    Raises :class:`~flask_whop.errors.UnknownEventError` if no event has this name, and
    :class:`~flask_whop.errors.CheckFailed` for a field that its payload doesn't have, or a
    pin that isn't a date.
    """
    __tracebackhide__ = True
    body = made(Scene(event_type), pin)
    fill(body, {f"data.{path}": value for path, value in data.items()})
    return body


def fresh(event_type: str, pin: str | None, key: str, now: datetime) -> Body:
    """Make the body of a delivery that happens now, about a resource of its own.

    Equal keys give equal ids. Raises what :func:`sample` raises.
    """
    __tracebackhide__ = True
    return made(Scene(event_type, key=key, now=now, began=now), pin)


def refuse_pattern(event_type: str) -> None:
    """Raise :class:`~flask_whop.errors.UnknownEventError` for a pattern where one event's name is needed."""
    if not _WILDCARDS.isdisjoint(event_type):
        found = [known for known in _shapes().events if fnmatchcase(known, event_type)]
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        listed = f"; it matches {', '.join(found[:_LISTED])}{more}" if found else "; it matches none"
        raise UnknownEventError(f"{event_type!r} is a pattern, and one event's name is needed{listed}.")


def type_of(event: type[AnyEvent] | str) -> str:
    """Return the type of an event given by type or by class.

    Raises :class:`~flask_whop.errors.UnknownEventError` if a class isn't that of one event.
    """
    event_type = event if isinstance(event, str) else getattr(event, "type", None)
    if not isinstance(event_type, str):
        raise UnknownEventError(f"{event!r} isn't the class of one event, such as PaymentSucceeded.")
    return event_type


def made(scene: Scene, pin: str | None) -> Body:
    """Make the body of the delivery of a scene.

    Raises what :func:`sample` raises.
    """
    __tracebackhide__ = True
    shapes = _shapes()
    refuse_pattern(scene.event_type)
    if scene.event_type not in shapes.events:
        raise no_such_event(scene.event_type, shapes.events)
    if pin is not None and not is_pin(pin):
        raise CheckFailed(f"A pin is a date, such as 2026-10-15 or 2026-10-15-1; {pin!r} isn't.")
    unpinned, pinned = shapes.events[scene.event_type]
    older = (pin is None and unpinned is not None) or pinned is None
    model = unpinned if older else pinned
    payload = _Payload(shapes.unpinned if older else shapes.pinned, scene)
    step = [str(scene.step)] if scene.step else []
    body: Body = {
        "id": f"msg_{letters(scene.event_type, pin or '', *scene.seeds, *step)}",
        "api_version": "v1",
        "timestamp": iso(scene.now),
        "type": scene.event_type,
        "data": payload.thing(model, scene.root, {}) if model else {"id": scene.identifier(scene.root)},
    }
    if pin is not None:
        body["api_version_date"] = pin
    if scene.previous:
        body["previous_attributes"] = scene.previous
    body["account_id" if pin is not None and pin >= FIRST_ACCOUNT_ID_PIN else "company_id"] = scene.identifier(
        "account"
    )
    return body


@cache
def _shapes() -> _Shapes:
    shapes = json.loads(files("flask_whop.events").joinpath("shapes.json").read_text(encoding="utf-8"))
    for shape in ("unpinned", "pinned"):
        for fields in shapes[shape].values():
            for name, (kind, *words) in fields.items():
                fields[name] = (kind, words[0] if words else [])
    return _Shapes(**shapes)


@cache
def words_of(field: str) -> frozenset[str]:
    """Return the words that Whop documents for fields of this name, in whatever payload."""
    shapes = _shapes()
    models = (*shapes.unpinned.values(), *shapes.pinned.values())
    return frozenset(str(word) for fields in models if field in fields for word in fields[field][1])


@cache
def vocabulary() -> frozenset[str]:
    """Return the words that the names of Whop's fields are made of."""
    shapes = _shapes()
    names = {name for models in (shapes.unpinned, shapes.pinned) for fields in models.values() for name in fields}
    return frozenset(word for name in names for word in name.split("_"))
