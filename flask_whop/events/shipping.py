"""Shipping: parcels, and addresses given at checkout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Items, Payload
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp

if TYPE_CHECKING:
    from pydantic import JsonValue


class Checkpoint(Payload):
    """A place where a parcel was scanned."""

    status: str | None = None
    """``unknown``, ``pre_transit``, ``in_transit``, ``out_for_delivery``, ``delivered``,
    ``available_for_pickup`` and others."""
    location: str | None = None
    """Such as ``PHILADELPHIA, PA``."""
    message: str | None = None
    timestamp: Timestamp | None = None


class Shipment(Resource):
    """A parcel on its way (``ship_…``)."""

    status: str | None = None
    """``unknown``, ``pre_transit``, ``in_transit``, ``out_for_delivery``, ``delivered``,
    ``available_for_pickup`` and others."""
    account_id: str | None = None
    payment_id: str | None = None
    carrier: str | None = None
    """Who carries it."""
    checkpoints: Items[Checkpoint] = ()
    tracking_number: str | None = None
    tracking_url: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class ShippingAddressChange(Payload):
    """The address a buyer chose at checkout; Whop publishes no fields for it."""


class ShipmentCreated(Event[Literal["shipment.created"], Shipment]):
    """An order got a tracking number."""


class ShipmentUpdated(Event[Literal["shipment.updated"], Shipment]):
    """A parcel's tracking changed; ``previous_attributes`` has the old values."""


class ShippingAddressChanged(Event[Literal["shipping_address.changed"], ShippingAddressChange]):
    """A buyer changed the address at checkout, and Whop waits for a price: it reads the answer to this event only.

    The receiver returns the answer, as a :class:`ShippingQuote` or as a mapping, which
    becomes the JSON of the 200. One receiver may answer, and only with
    ``WHOP_DISPATCH="inline"``, since all other modes answer before it runs. The answer is
    kept, so a duplicate gets the same one.
    """

    wants_answer: ClassVar[bool] = True


class ShippingQuote(NamedTuple):
    """What shipping to an address costs: the answer to :class:`ShippingAddressChanged`.

    Whop publishes no fields for what is inside; it is passed on as it is.
    """

    line_items: Sequence[Mapping[str, JsonValue]]
    shipping_options: Sequence[Mapping[str, JsonValue]] = ()
    tax: Mapping[str, JsonValue] | None = None
