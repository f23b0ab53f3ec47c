"""Exports of an account's data."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.payload import Resource

__all__ = [
    "Export",
    "ExportCompleted",
    "ExportFailed",
]


class Export(Resource):
    """A file of an account's data, made on request."""


class ExportCompleted(Event[Literal["export.completed"], Export]):
    """An export is ready to download."""


class ExportFailed(Event[Literal["export.failed"], Export]):
    """An export could not be made."""
