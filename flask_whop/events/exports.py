"""Exports of an account's data."""

from __future__ import annotations

from typing import Literal

from flask_whop.events.envelope import Event
from flask_whop.events.resource import Resource
from flask_whop.events.times import Timestamp


class Export(Resource):
    """A file with an account's data, made on request."""

    status: str | None = None
    """``pending``, ``processing``, ``completed``, ``failed``, ``expired``."""
    download_url: str | None = None
    """A temporary link, once the export is completed."""
    progress_percent: int | None = None
    """0 to 100."""
    resource: str | None = None
    """What was exported: ``ad_campaigns``, ``ad_groups``, ``ads``, ``apps``, ``audiences``, ``bounties`` and others."""
    created_at: Timestamp | None = None
    expires_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class ExportCompleted(Event[Literal["export.completed"], Export]):
    """An export is ready to download."""


class ExportFailed(Event[Literal["export.failed"], Export]):
    """An export failed."""
