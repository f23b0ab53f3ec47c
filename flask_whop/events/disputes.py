"""Disputes: chargebacks, warnings of them, and cases in the resolution center."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "Dispute",
    "DisputeAlert",
    "DisputeAlertCreated",
    "DisputeCreated",
    "DisputeUpdated",
    "ResolutionCenterCase",
    "ResolutionCenterCaseCreated",
    "ResolutionCenterCaseDecided",
    "ResolutionCenterCaseUpdated",
    "ResolutionCreated",
    "ResolutionDecided",
    "ResolutionUpdated",
]


class Dispute(Resource):
    """A chargeback or an inquiry of the buyer's bank."""


class DisputeAlert(Resource):
    """A bank's warning of a dispute to come."""


class ResolutionCenterCase(Resource):
    """A buyer's complaint that Whop mediates."""


class DisputeCreated(Event[Literal["dispute.created"], Dispute]):
    """A buyer's bank opened a chargeback or an inquiry."""


class DisputeUpdated(Event[Literal["dispute.updated"], Dispute]):
    """Status or evidence of a dispute changed."""


class DisputeAlertCreated(Event[Literal["dispute_alert.created"], DisputeAlert]):
    """A bank warned of a dispute before opening it; a refund now may avert it."""


class ResolutionCenterCaseCreated(Event[Literal["resolution_center_case.created"], ResolutionCenterCase]):
    """A buyer opened a case."""


class ResolutionCenterCaseUpdated(Event[Literal["resolution_center_case.updated"], ResolutionCenterCase]):
    """A case got a message, or it is now the other side's turn."""


class ResolutionCenterCaseDecided(Event[Literal["resolution_center_case.decided"], ResolutionCenterCase]):
    """A case was decided."""


class ResolutionCreated(Event[Literal["resolution.created"], ResolutionCenterCase]):
    """The old format's name for ``resolution_center_case.created``."""


class ResolutionUpdated(Event[Literal["resolution.updated"], ResolutionCenterCase]):
    """The old format's name for ``resolution_center_case.updated``."""


class ResolutionDecided(Event[Literal["resolution.decided"], ResolutionCenterCase]):
    """The old format's name for ``resolution_center_case.decided``."""
