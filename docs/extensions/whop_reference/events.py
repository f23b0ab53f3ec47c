"""The pages of events and payloads, from the registry and the models: one for each family, one for shared parts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final

from flask_whop import signals
from flask_whop.events import AnyEvent, Event, Money, Payload
from flask_whop.events.offers import SUCCESSORS, permission_of
from flask_whop.events.payload import Reference
from flask_whop.events.registry import FAMILIES
from flask_whop.events.resource import Linked, Resource
from flask_whop.signals import EVENT_SIGNALS
from flask_whop.signals.kinds import EventSignal

from whop_reference.text import attribute_docs, cell, in_line, myst, table

SHARED: Final = ("references", "parts", "money")
"""The modules whose payloads are parts of several families' payloads."""
_BASES: Final = (Payload, Reference, Linked, Resource, Money)
_NAME: Final = re.compile(r"\b[A-Z]\w+\b")
_PLAIN: Final = {
    "Timestamp": "datetime",
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Decimal": "Decimal",
    "dict[str, JsonValue]": "JSON object",
    "JsonValue": "JSON",
}

_INDEX = """\
# Events and payloads

Every event that Whop is known to send: {count} of them. Any other arrives on the signal `unknown_event`, as an
`UnknownEvent` whose payload has all that Whop sent. An event is received by its signal, by its class, or by its name:

| | |
| --- | --- |
| signal | `from flask_whop.signals import payment_succeeded` |
| class | `from flask_whop.events import PaymentSucceeded` |
| name or pattern | `@whop.on("payment.succeeded")`, `@whop.on("payment.*")` |

Everything in a payload but `id` can be None: Whop sends null for what your app has no permission to read. Fields that
aren't listed are kept, and are attributes as well. Whop adds to the words that are listed for a field, such as a
`status`, without notice, so a `match` needs a default case.

"""


def pages() -> Iterator[tuple[str, str]]:
    """Yield the pages of events and payloads."""
    yield "events/index.md", _index()
    for family in FAMILIES:
        yield f"events/{family}.md", _family_page(family)
    yield "events/shared.md", _shared_page()


@cache
def _module(name: str) -> ModuleType:
    return import_module(f"flask_whop.events.{name}")


def events_of(family: str) -> list[type[AnyEvent]]:
    """Return the classes of the events of a family."""
    return [cls for cls in _classes_of(family) if issubclass(cls, Event)]


def payloads_of(module: str) -> list[type[Payload]]:
    """Return the payloads that a module defines, the bases of all of them aside."""
    return [cls for cls in _classes_of(module) if issubclass(cls, Payload) and (cls not in _BASES or cls is Money)]


def _classes_of(name: str) -> list[type]:
    module = _module(name)
    return [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]


@cache
def _page_of() -> dict[str, str]:
    """The page of each payload."""
    pages = {cls.__name__: "shared" for module in SHARED for cls in payloads_of(module)}
    return {**pages, **{cls.__name__: family for family in FAMILIES for cls in payloads_of(family)}}


@cache
def _signal_names() -> dict[str, str]:
    """The names that signals are imported by, by event type: those of v5 events differ from the signals' own."""
    return {signal.event_type: name for name, signal in vars(signals).items() if isinstance(signal, EventSignal)}


def _index() -> str:
    parts = [_INDEX.format(count=len(EVENT_SIGNALS))]
    for family in FAMILIES:
        rows = (
            (
                f"[`{cls.type}`]({family}.md#{_anchor(cls.type)})",
                f"`{_signal_names()[cls.type]}`",
                f"`{cls.__name__}`",
                _link(cls.payload_class.__name__),
            )
            for cls in events_of(family)
        )
        parts.append(f"## {family.capitalize()}\n\n{table(('event', 'signal', 'class', 'payload'), rows)}\n")
    names = "\n".join((*FAMILIES, "shared"))
    return "".join([*parts, f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"])


def _family_page(family: str) -> str:
    first_line = inspect.cleandoc(_module(family).__doc__ or "").splitlines()[0]
    parts = [f"# {family.capitalize()}\n\n{myst(first_line)}\n\n## Events\n\n"]
    parts += [_event(cls) for cls in events_of(family)]
    return "".join([*parts, "## Payloads\n\n", *map(_payload, payloads_of(family))])


def _shared_page() -> str:
    intro = "# Shared parts\n\nParts that the payloads of several families have.\n\n## Parts\n\n"
    return intro + "".join(_payload(cls) for module in SHARED for cls in payloads_of(module))


def _event(cls: type[AnyEvent]) -> str:
    return (
        f"({_anchor(cls.type)})=\n### {cls.type}\n\n{myst(cls.__doc__ or '')}\n\n"
        f"- signal: `{_signal_names()[cls.type]}`\n- class: `{cls.__name__}`\n"
        f"- payload: {_link(cls.payload_class.__name__)}\n{_availability(cls.type)}\n"
    )


def _availability(event_type: str) -> str:
    if event_type not in SUCCESSORS:
        return f"- permission of an app's webhook: `{permission_of(event_type)}`\n"
    successor = SUCCESSORS[event_type]
    instead = "" if successor is None or successor not in EVENT_SIGNALS else f"; `{successor}` has taken its place"
    return f"- no new webhook can be subscribed to it{instead}\n"


def _payload(cls: type[Payload]) -> str:
    rows = [(f"`{name}`", _kind(annotation), cell(doc)) for name, (annotation, doc) in _fields(cls).items()]
    fields = "{.fields}\n" + table(("field", "type", "meaning"), rows) if rows else "It has no fields of its own.\n"
    return f"({_payload_anchor(cls.__name__)})=\n### {cls.__name__}\n\n{_about(cls)}\n\n{fields}\n"


def _about(cls: type[Payload]) -> str:
    paragraphs = (cls.__doc__ or "").split("\n\n")
    return "\n\n".join(in_line(paragraph) for paragraph in paragraphs)


def _fields(cls: type[Payload]) -> dict[str, tuple[str, str]]:
    """Return the annotation and the docstring of each field, the inherited ones included."""
    found = {}
    for name in cls.model_fields:
        for base in cls.__mro__:
            annotation = inspect.get_annotations(base).get(name)
            if annotation is not None:
                found[name] = (str(annotation), attribute_docs(base).get(name, ""))
                break
    return found


def _kind(annotation: str) -> str:
    """Say a type in words: ``Items[Refund]`` is a list of Refund."""
    plain = annotation.removesuffix(" | None")
    items = re.fullmatch(r"Items\[(.+)\]", plain)
    if items:
        return f"list of {_kind(items[1])}"
    if plain in _PLAIN:
        return _PLAIN[plain]
    return _NAME.sub(lambda name: _link(name[0]), plain)


def _link(name: str) -> str:
    page = _page_of().get(name)
    return f"`{name}`" if page is None else f"[`{name}`]({page}.md#{_payload_anchor(name)})"


def _anchor(event_type: str) -> str:
    return f"event-{_signal_names()[event_type].replace('_', '-')}"


def _payload_anchor(name: str) -> str:
    return f"payload-{name.lower()}"
