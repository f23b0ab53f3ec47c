"""The form that sends an event: a field for each value of its sample."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from uuid import uuid4

from flask_whop.engine.posting import Answer, in_process, send
from flask_whop.errors import FlaskWhopError
from flask_whop.events.fields import fill
from flask_whop.events.samples import fresh
from flask_whop.signals import EVENT_SIGNALS
from flask_whop.signature import signed

if TYPE_CHECKING:
    from pydantic import JsonValue

    from flask_whop.engine.installation import Installation

_MOST_FIELDS: Final = 300
_NOTHING: Final[Mapping[str, str]] = {}


class Field(NamedTuple):
    """One field of the form."""

    path: str
    """Where its value is, such as ``user.email``."""
    value: str
    """What it holds, as text."""
    kind: str
    """``text``, ``number`` or ``word`` (true, false or nothing)."""


class Form:
    """The form for an event of a type, with the shape of a pin; ``typed`` is what somebody put into it.

    Forms of one ``key`` are about the same resource.
    """

    def __init__(self, event_type: str, pin: str, typed: Mapping[str, str] = _NOTHING) -> None:
        self.key: str = typed.get("key") or uuid4().hex
        self.type: str = event_type if event_type in EVENT_SIGNALS else ""
        self.pin: str = pin
        self.mistake: str | None = None
        """Why there is no sample."""
        self._body: dict[str, JsonValue] = {}
        self.fields: list[Field] = []
        """Its fields, up to a few hundred."""
        if event_type and not self.type:
            self.mistake = "Whop sends no event of this name."
        if self.type:
            self._fill(typed)

    def _fill(self, typed: Mapping[str, str]) -> None:
        try:
            self._body = fresh(self.type, self.pin or None, self.key, datetime.now(timezone.utc))
        except (FlaskWhopError, ValueError) as error:
            self.mistake = str(error)
            return
        changes: dict[str, JsonValue] = {}
        for path, value in islice(_leaves(self._body["data"]), _MOST_FIELDS):
            if (text := typed.get(f"data.{path}")) is not None:
                value = changes[f"data.{path}"] = _read(text, value)  # noqa: PLW2901  # what was typed is its value now
            self.fields.append(Field(path, _text(value), _kind(value)))
        fill(self._body, changes)

    def send(self, installation: Installation) -> Answer | None:
        """Deliver the event to the app in this process, signed as Whop signs it; None if there is no event."""
        if self.mistake is not None or not self._body:
            return None
        body = {**self._body, "id": f"msg_{uuid4().hex[:20]}"}
        timestamp = int(installation.verifier.clock())
        return send(signed(body, installation.secret, timestamp=timestamp), in_process(installation))


def _leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Yield the values that hold no others, and where they are."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner and path:
        yield path, value
    for name, each in inner:
        yield from _leaves(each, f"{path}.{name}" if path else str(name))


def _read(text: str, before: JsonValue) -> JsonValue:
    """Read what was typed: a text stays one, anything else is JSON if it can be; an empty field is null."""
    if not text:
        return None
    if isinstance(before, str):
        return text
    try:
        return cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError):
        return text


def _text(value: JsonValue) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _kind(value: JsonValue) -> str:
    if isinstance(value, bool) or value is None:
        return "word"
    return "number" if isinstance(value, (int, float)) else "text"
