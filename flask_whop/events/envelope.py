"""The envelope around every payload: events."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Generic, TypeAlias, TypeVar, cast, get_args

from pydantic import ValidationError

from flask_whop.events.bodies import envelope_of, parse_object
from flask_whop.events.reading import read_payload
from flask_whop.names import LEGACY_ID, name_of, shown

if TYPE_CHECKING:
    from pydantic import JsonValue
    from pydantic_core import SchemaValidator

    from flask_whop.events.payload import Payload

TypeT_co = TypeVar("TypeT_co", bound=str, covariant=True)
DataT_co = TypeVar("DataT_co", bound="Payload", covariant=True)
EventT = TypeVar("EventT", bound="Event[str, Payload]")

_UNREAD = datetime.min  # noqa: DTZ901  # marks a time that hasn't been read
_NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
_SHOWN = 100

Order: TypeAlias = tuple[str, str, float]
"""Internal: the resource of an event, the field its time is from, and that time in Unix seconds."""


class _AnyPayload:
    """The class of all payloads; importing it imports pydantic's fields, so it's imported on first use."""

    def __get__(self, _event: object, _owner: object) -> builtins.type[Payload]:
        from flask_whop.events.payload import Payload  # noqa: PLC0415  # see above

        return Payload


class Event(Generic[TypeT_co, DataT_co]):
    """Something that happened at Whop.

    Each type of event has its own class, such as
    :class:`~flask_whop.events.identity.IdentityProfileNeedsAction`. All receivers share
    an event: treat it, and everything in it, as read-only.

    Everything is read on first use; so is ``data``, whose model is built then.
    """

    __slots__ = ("_body", "_data", "_drift", "_envelope", "_raw", "_stale", "_timestamp", "_updated_at", "id")

    type: TypeT_co
    """Whop's name for this type, such as ``payment.succeeded``."""

    payload_class: builtins.type[Payload] = cast("builtins.type[Payload]", _AnyPayload())
    """The class of ``data``."""

    wants_answer: ClassVar[bool] = False
    """Whether Whop reads the answer to it: what its receiver returns then becomes the answer."""

    id: str
    """The id of the event (``msg_…``), the same on each retry."""

    def __init_subclass__(cls) -> None:
        """Read ``type`` and ``payload_class`` from ``Event[Literal["…"], …]``."""
        super().__init_subclass__()
        for base in cls.__dict__.get("__orig_bases__", ()):
            literal, payload_class = get_args(base)
            if get_args(literal):
                cls.type = get_args(literal)[0]
            if isinstance(payload_class, type):
                cls.payload_class = payload_class

    def __init__(self, envelope: Mapping[str, JsonValue], body: bytes, delivery_id: str) -> None:
        self._envelope = envelope
        self._body = body
        self._data: DataT_co | None = None
        self._drift: tuple[str, ...] = ()
        self._raw: dict[str, JsonValue] | None = None
        self._timestamp: datetime | None = _UNREAD
        self._updated_at: datetime | None = _UNREAD
        self._stale: bool | Callable[[Order | None], bool] = False
        self.id = self._text("id") or delivery_id

    @property
    def data(self) -> DataT_co:
        """The typed payload. A value that doesn't fit the model is kept as sent; see ``drift``."""
        if self._data is None:
            self._read()
        return cast("DataT_co", self._data)

    @property
    def drift(self) -> tuple[str, ...]:
        """The fields that didn't fit the model, such as ``data.verifications.0.created_at``.

        Each has the value Whop sent, whatever its declared type, or None if it's missing.
        Empty for nearly every event.
        """
        if self._data is None:
            self._read()
        # The legacy format has no timestamp.
        return self._drift if self.timestamp or self.id.startswith(LEGACY_ID) else (*self._drift, "timestamp")

    @property
    def drift_seen(self) -> tuple[str, ...]:
        """Internal: the part of ``drift`` that is known without reading any further."""
        return self._drift

    @property
    def raw(self) -> dict[str, JsonValue]:
        """The body as Whop sent it, parsed as plain JSON on first use."""
        if self._raw is None:
            self._raw = parse_object(self._body)
        return self._raw

    @property
    def account_id(self) -> str | None:
        """The account (``biz_…``) the event is about; None if Whop names none.

        Whop calls it ``company_id`` on webhooks without a version pin.
        """
        account_id = self._text("account_id")
        return self._text("company_id") if account_id is None else account_id

    @property
    def timestamp(self) -> datetime | None:
        """When it happened, with a time zone; None if Whop sent no readable time."""
        if self._timestamp is _UNREAD:
            self._timestamp = _time_of(self._envelope.get("timestamp"))
        return self._timestamp

    @property
    def api_version(self) -> str | None:
        """The format of the webhook, ``v1``; ``v2`` or ``v5`` for a legacy one."""
        return self._text("api_version")

    @property
    def api_version_date(self) -> str | None:
        """The version the webhook is pinned to (``2026-10-15-1``); None without a pin."""
        return self._text("api_version_date")

    @property
    def previous_attributes(self) -> Mapping[str, JsonValue]:
        """The previous values of the changed fields; empty if Whop sends none."""
        value = self._envelope.get("previous_attributes")
        return MappingProxyType(value) if isinstance(value, dict) else _NOTHING

    def changed(self, *fields: str) -> bool:
        """Return whether one of ``fields`` of ``data`` changed; without fields, whether anything did.

        Only known for updates that Whop sends with ``previous_attributes``.
        """
        previous = self.previous_attributes
        return any(field in previous for field in fields) if fields else bool(previous)

    @property
    def resource(self) -> str | None:
        """The resource the event is about, such as ``payment:pay_…``; None without a ``data.id``."""
        data = self._envelope.get("data")
        resource_id = data.get("id") if isinstance(data, dict) else None
        if not isinstance(resource_id, str) or not resource_id:
            return None
        return f"{self.type.rpartition('.')[0]}:{resource_id}"

    @property
    def order(self) -> Order | None:
        """Internal: decides which of two events about one ``resource`` is newer; None if nothing does.

        The resource, the field its time is from, and that time in Unix seconds. The field
        is the payload's ``updated_at``, which Whop recommends for this, or the envelope's
        ``timestamp`` if there is none. Two events are only compared by the same field.
        """
        resource = self.resource
        if resource is None:
            return None
        if self.updated_at is not None:
            return resource, "updated_at", self.updated_at.timestamp()
        return None if self.timestamp is None else (resource, "timestamp", self.timestamp.timestamp())

    @property
    def updated_at(self) -> datetime | None:
        """When the resource changed, with a time zone; None if the payload has no readable ``updated_at``."""
        if self._updated_at is _UNREAD:
            data = self._envelope.get("data")
            value = data.get("updated_at") if isinstance(data, dict) else None
            self._updated_at = None if value is None else _time_of(value)
        return self._updated_at

    @property
    def stale(self) -> bool:
        """Whether the receiver being called has already handled a newer event about the same ``resource``.

        Whop promises no order. The store is asked when a receiver first reads this. A newer
        event that is being handled at the same time may go unnoticed; ``skip_stale``
        prevents that.
        """
        if callable(self._stale):
            self._stale = self._stale(self.order)
        return self._stale

    def stale_if(self, is_stale: bool | Callable[[Order | None], bool]) -> None:
        """Internal: set :attr:`stale`, or the function that decides it from :attr:`order` on first use."""
        self._stale = is_stale

    def idempotency_key(self, receiver: Callable[..., object] | str) -> str:
        """Return a key for the effects of ``receiver``, the same each time it's called with this event.

        Pass it to a service that must not act twice, such as in an ``Idempotency-Key``
        header. It's 32 hex digits and reveals nothing about the event. ``receiver`` is the
        function itself, or the name it was connected by.
        """
        name = receiver if isinstance(receiver, str) else name_of(receiver)
        return sha256(f"{self.id}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def __repr__(self) -> str:
        """Show only type and id: payloads have personal data, and reprs end up in logs."""
        return f"<{type(self).__name__} {shown(self.id, _SHOWN)}>"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """Pickle the body, from which the event is parsed again, and the value of :attr:`stale`."""
        return _unpickled, (type(self), self._body, self.id, self.stale)

    def _text(self, field: str) -> str | None:
        value = self._envelope.get(field)
        return value if isinstance(value, str) else None

    def _read(self) -> None:
        data: Payload
        data, places = read_payload(self.payload_class, self._envelope.get("data"))
        self._drift = tuple(f"data.{place}" if place else "data" for place in places)
        self._data = cast("DataT_co", data)


@cache
def _timestamps() -> SchemaValidator:
    """The validator of times, made on first use since importing and building it is slow."""
    from pydantic import TypeAdapter  # noqa: PLC0415  # see above

    from flask_whop.events.times import Timestamp  # noqa: PLC0415  # see above

    return cast("SchemaValidator", TypeAdapter(Timestamp).validator)


def _time_of(value: JsonValue) -> datetime | None:
    try:
        return cast("datetime", _timestamps().validate_python(value))
    except ValidationError:
        return None


class UnknownEvent(Event[str, "Payload"]):
    """An event of a type this release doesn't know; ``event.type`` names it."""

    __slots__ = ("type",)

    type: str

    def __init__(self, envelope: Mapping[str, JsonValue], body: bytes, delivery_id: str) -> None:
        super().__init__(envelope, body, delivery_id)
        self.type = self._text("type") or ""


def _unpickled(cls: type[EventT], body: bytes, delivery_id: str, stale: bool) -> EventT:  # pickle passes no names
    event = cls(envelope_of(parse_object(body), delivery_id), body, delivery_id)
    event.stale_if(stale)
    return event
