"""Products, and the plans they are sold on."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "Plan",
    "PlanCreated",
    "PlanDeleted",
    "PlanUpdated",
    "Product",
    "ProductCreated",
    "ProductDeleted",
    "ProductPublished",
    "ProductUnpublished",
    "ProductUpdated",
]


class Product(Resource):
    """Something for sale."""


class Plan(Resource):
    """Price and terms of a product; Whop's own models call it a variant."""


class ProductCreated(Event[Literal["product.created"], Product]):
    """A product was made."""


class ProductUpdated(Event[Literal["product.updated"], Product]):
    """A product was edited; ``previous_attributes`` has the old values."""


class ProductDeleted(Event[Literal["product.deleted"], Product]):
    """A product was deleted."""


class ProductPublished(Event[Literal["product.published"], Product]):
    """A product can now be seen by buyers."""


class ProductUnpublished(Event[Literal["product.unpublished"], Product]):
    """A product can no longer be seen by buyers."""


class PlanCreated(Event[Literal["plan.created"], Plan]):
    """A plan was made."""


class PlanUpdated(Event[Literal["plan.updated"], Plan]):
    """A plan was edited; ``previous_attributes`` has the old values."""


class PlanDeleted(Event[Literal["plan.deleted"], Plan]):
    """A plan was deleted."""
