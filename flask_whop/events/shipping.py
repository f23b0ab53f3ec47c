"""Shipping: parcels, and addresses given at checkout."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Payload, Resource

__all__ = [
    "Shipment",
    "ShipmentCreated",
    "ShipmentUpdated",
    "ShippingAddressChange",
    "ShippingAddressChanged",
]


class Shipment(Resource):
    """A parcel under way."""


class ShippingAddressChange(Payload):
    """The address that a buyer chose at checkout; Whop publishes no fields for it."""


class ShipmentCreated(Event[Literal["shipment.created"], Shipment]):
    """An order got a tracking number."""


class ShipmentUpdated(Event[Literal["shipment.updated"], Shipment]):
    """A parcel moved on; ``previous_attributes`` has the old values."""


class ShippingAddressChanged(Event[Literal["shipping_address.changed"], ShippingAddressChange]):
    """A buyer changed the address at checkout, and Whop waits for a price.

    The only event whose answer Whop reads.
    """
