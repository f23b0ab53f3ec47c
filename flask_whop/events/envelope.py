"""What stands around every payload: the envelope that Whop wraps it in."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast, get_args

from pydantic import ValidationError
from pydantic_core import from_json

from flask_whop.errors import Reason, Rejected
from flask_whop.events.reading import read_payload
from flask_whop.events.registry import event_class
from flask_whop.names import name_of, shown

if TYPE_CHECKING:
    from pydantic import JsonValue
    from pydantic_core import SchemaValidator

    from flask_whop.events.anything import AnyEvent
    from flask_whop.events.payload import Payload

TypeT_co = TypeVar("TypeT_co", bound=str, covariant=True)
DataT_co = TypeVar("DataT_co", bound="Payload", covariant=True)

_UNREAD = datetime.min  # noqa: DTZ901  # stands in for a time that has not been looked at
_NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
# Fixed, and well under the limit of recursion: a body that is taken can be read again wherever its event goes.
_MAX_DEPTH = 500
_SHOWN = 100

Order: TypeAlias = tuple[str, str, float]
"""The resource of an event, the field that tells its time, and that time in unix seconds."""


class _AnyPayload:
    """The class of all payloads, with which pydantic's fields are imported: when somebody asks for it."""

    def __get__(self, _event: object, _owner: object) -> builtins.type[Payload]:
        from flask_whop.events.payload import Payload  # noqa: PLC0415  # see above

        return Payload


class Event(Generic[TypeT_co, DataT_co]):
    """Something that happened at Whop.

    Each type of event has a class of its own, such as
    :class:`~flask_whop.events.identity.IdentityProfileNeedsAction`. An event is shared
    by all its receivers; treat it, and everything in it, as read-only.

    Nothing is read before it is asked for: the model of the payload is built when
    ``data`` is first read.
    """

    __slots__ = ("_body", "_data", "_drift", "_envelope", "_raw", "_stale", "_timestamp", "_updated_at", "id")

    type: TypeT_co
    """The name that Whop gives this type, such as ``payment.succeeded``."""

    payload_class: builtins.type[Payload] = cast("builtins.type[Payload]", _AnyPayload())
    """The class of ``data``."""

    id: str
    """The id of the event (``msg_…``), the same on each retry."""

    def __init_subclass__(cls) -> None:
        """Take the type's name and the payload's class from ``Event[Literal["…"], …]``."""
        super().__init_subclass__()
        for base in cls.__dict__.get("__orig_bases__", ()):
            name, payload = get_args(base)
            if get_args(name):
                cls.type = get_args(name)[0]
            if isinstance(payload, type):
                cls.payload_class = payload

    def __init__(self, envelope: Mapping[str, JsonValue], body: bytes, delivery_id: str) -> None:
        self._envelope = envelope
        self._body = body
        self._data: DataT_co | None = None
        self._drift: tuple[str, ...] = ()
        self._raw: dict[str, JsonValue] | None = None
        self._timestamp: datetime | None = _UNREAD
        self._updated_at: datetime | None = _UNREAD
        self._stale: bool | Callable[[Order | None], bool] = False
        named = envelope.get("id")
        self.id = named if isinstance(named, str) and named else delivery_id

    @property
    def data(self) -> DataT_co:
        """The payload, typed. What does not fit its model is kept as it came; see ``drift``."""
        if self._data is None:
            self._read()
        return cast("DataT_co", self._data)

    @property
    def drift(self) -> tuple[str, ...]:
        """The fields that were not as expected, such as ``data.verifications.0.created_at``.

        Each has the value that came, whatever its declared type says, or None if it is
        missing. Empty for nearly every event.
        """
        if self._data is None:
            self._read()
        return self._drift if self.timestamp else (*self._drift, "timestamp")

    @property
    def drift_seen(self) -> tuple[str, ...]:
        """What of ``drift`` is known without any further reading."""
        return self._drift

    @property
    def raw(self) -> dict[str, JsonValue]:
        """The body as Whop sent it, parsed as plain JSON; made when first asked for."""
        if self._raw is None:
            self._raw = parse_object(self._body)
        return self._raw

    @property
    def account_id(self) -> str | None:
        """The account (``biz_…``) that the event is about; None if Whop names none.

        Whop calls it ``company_id`` on webhooks without a version pin.
        """
        value = self._envelope.get("account_id")
        if not isinstance(value, str):
            value = self._envelope.get("company_id")
        return value if isinstance(value, str) else None

    @property
    def timestamp(self) -> datetime | None:
        """When it happened, with its time zone; None if Whop sent no readable time."""
        if self._timestamp is _UNREAD:
            self._timestamp = _time_of(self._envelope.get("timestamp"))
        return self._timestamp

    @property
    def api_version(self) -> str | None:
        """The format of the webhook, ``v1``."""
        value = self._envelope.get("api_version")
        return value if isinstance(value, str) else None

    @property
    def api_version_date(self) -> str | None:
        """The version that the webhook is pinned to (``2026-10-15-1``); None without a pin."""
        value = self._envelope.get("api_version_date")
        return value if isinstance(value, str) else None

    @property
    def previous_attributes(self) -> Mapping[str, JsonValue]:
        """The former values of the fields that changed; empty where Whop sends none."""
        value = self._envelope.get("previous_attributes")
        return MappingProxyType(value) if isinstance(value, dict) else _NOTHING

    def changed(self, *fields: str) -> bool:
        """Whether one of ``fields`` of ``data`` changed; without fields, whether anything did.

        Known of the updates alone that Whop sends with ``previous_attributes``.
        """
        before = self.previous_attributes
        return any(field in before for field in fields) if fields else bool(before)

    @property
    def resource(self) -> str | None:
        """What the event is about, such as ``payment:pay_…``; None if Whop names no ``data.id``."""
        data = self._envelope.get("data")
        named = data.get("id") if isinstance(data, dict) else None
        return f"{self.type.rpartition('.')[0]}:{named}" if isinstance(named, str) and named else None

    @property
    def order(self) -> Order | None:
        """What decides which of two events about one ``resource`` is the newer one; None if nothing does.

        The resource, the field that tells the time, and that time in unix seconds:
        ``updated_at`` of the payload, which Whop names for this, and the envelope's
        ``timestamp`` where it has none. Two events are compared by the same field alone.
        """
        resource = self.resource
        if resource is None:
            return None
        updated_at = self.updated_at
        if updated_at is not None:
            return resource, "updated_at", updated_at.timestamp()
        return None if self.timestamp is None else (resource, "timestamp", self.timestamp.timestamp())

    @property
    def updated_at(self) -> datetime | None:
        """When the resource changed, with its time zone; None if the payload tells no readable ``updated_at``."""
        if self._updated_at is _UNREAD:
            data = self._envelope.get("data")
            value = data.get("updated_at") if isinstance(data, dict) else None
            self._updated_at = None if value is None else _time_of(value)
        return self._updated_at

    @property
    def stale(self) -> bool:
        """Whether the receiver that is being called has handled a newer event about the same ``resource``.

        Whop does not promise any order. The store is asked when a receiver first reads
        this; an event that is being handled at the same moment may not be seen yet, which
        ``skip_stale`` takes care of.
        """
        if callable(self._stale):
            self._stale = self._stale(self.order)
        return self._stale

    def stale_if(self, is_stale: bool | Callable[[Order | None], bool]) -> None:
        """Let ``is_stale`` answer for :attr:`stale`, asked with :attr:`order` when that is first read."""
        self._stale = is_stale

    def idempotency_key(self, receiver: Callable[..., object] | str) -> str:
        """A key for what ``receiver`` asks of others, the same each time it is called with this event.

        Pass it on where an effect must not happen twice, such as in an
        ``Idempotency-Key`` header: 32 hex digits, which tell nothing about the event.
        ``receiver`` is the function itself, or the name that it was connected by.
        """
        name = receiver if isinstance(receiver, str) else name_of(receiver)
        return sha256(f"{self.id}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def __repr__(self) -> str:
        """Name type and id alone: payloads hold personal data, and reprs end up in logs."""
        return f"<{type(self).__name__} {shown(self.id, _SHOWN)}>"

    def __reduce__(self) -> tuple[Callable[[bytes, str, bool], AnyEvent], tuple[bytes, str, bool]]:
        """Pickle the body, which the event is made of anew, with the answer of :attr:`stale`."""
        return _unpickled, (self._body, self.id, self.stale)

    def _read(self) -> None:
        data: Payload
        data, places = read_payload(self.payload_class, self._envelope.get("data"))
        self._drift = tuple(f"data.{place}" if place else "data" for place in places)
        self._data = cast("DataT_co", data)


@cache
def _timestamps() -> SchemaValidator:
    """What reads a time; it takes its time to be imported and made."""
    from pydantic import TypeAdapter  # noqa: PLC0415  # see above

    from flask_whop.events.times import Timestamp  # noqa: PLC0415  # likewise

    return cast("SchemaValidator", TypeAdapter(Timestamp).validator)


def _time_of(value: JsonValue) -> datetime | None:
    try:
        return cast("datetime", _timestamps().validate_python(value))
    except ValidationError:
        return None


class UnknownEvent(Event[str, "Payload"]):
    """An event of a type that this release does not know; ``event.type`` names it."""

    __slots__ = ("type",)

    type: str

    def __init__(self, envelope: Mapping[str, JsonValue], body: bytes, delivery_id: str) -> None:
        super().__init__(envelope, body, delivery_id)
        named = envelope.get("type")
        self.type = named if isinstance(named, str) else ""


def _unpickled(body: bytes, delivery_id: str, stale: bool) -> AnyEvent:  # pickle passes no names
    event = parse_event(body, delivery_id)
    event.stale_if(stale)
    return event


def parse_event(body: bytes, delivery_id: str = "") -> AnyEvent:
    """Make the event of ``body``: of its type's class, or :class:`UnknownEvent`.

    ``delivery_id`` stands in for the id of a body that names none. Raises
    :class:`~flask_whop.errors.Rejected` if the body is not a JSON object.
    """
    envelope = parse_object(body, delivery_id)
    return (event_class(envelope.get("type")) or UnknownEvent)(envelope, body, delivery_id)


def parse_object(body: bytes, delivery_id: str | None = None) -> dict[str, JsonValue]:
    """Parse a body that has to be a JSON object; raise :class:`Rejected` if it is none that can be read."""
    try:
        value = from_json(body)
    except ValueError:
        value = _parse_leniently(body, delivery_id)
    if not isinstance(value, dict):
        raise Rejected(Reason.NOT_A_JSON_OBJECT, delivery_id)
    return value


def _parse_leniently(body: bytes, delivery_id: str | None) -> object:
    """Parse what the fast parser refuses and JSON allows: half a surrogate pair, deep nesting."""
    try:
        value = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    except ValueError:
        # Python's limit: the time that a number takes grows with the square of its digits.
        raise Rejected(Reason.NUMBER_TOO_LONG, delivery_id) from None
    except RecursionError:
        raise Rejected(Reason.NESTED_TOO_DEEPLY, delivery_id) from None
    if _is_deeper_than(_MAX_DEPTH, value):
        raise Rejected(Reason.NESTED_TOO_DEEPLY, delivery_id)
    return value


def _is_deeper_than(limit: int, value: object) -> bool:
    level = [value]
    for _ in range(limit + 1):
        containers = [one for one in level if isinstance(one, (dict, list))]
        level = [inner for one in containers for inner in (one.values() if isinstance(one, dict) else one)]
    return bool(level)
