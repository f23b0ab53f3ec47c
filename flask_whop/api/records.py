"""What Whop's API answers, read tolerantly: a field that is missing or odd costs that field, never the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pydantic import JsonValue

# Whop is younger than the first, and milliseconds are beyond the second.
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=timezone.utc).timestamp()
_LATEST: Final = datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()
_USABLE_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,255}", re.ASCII)  # what a signed webhook-id may be


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook at Whop."""

    id: str
    """``hook_…``."""
    url: str
    enabled: bool = True
    events: tuple[str, ...] = ()
    """The event types that it is subscribed to."""
    resource_id: str | None = None
    """Whose events it delivers: an account (``biz_…``) or an app (``app_…``)."""
    child_resource_events: bool = False
    """Whether it delivers the events of connected accounts, and only those."""
    api_version: str = "v1"
    """Its format; ``v2`` and ``v5`` are the legacy ones."""
    pin: str | None = None
    """Its version pin, such as ``2026-10-15-1``; None if it has none."""
    disabled_at: str | None = None
    disabled_reason: str | None = None
    failing_since: str | None = None
    """Since when each delivery has failed; None while they succeed."""
    consecutive_failures: int = 0
    secret: str | None = field(default=None, repr=False)
    """Its secret, which Whop shows in the answer to its creation alone."""

    @classmethod
    def read(cls, value: JsonValue) -> Webhook | None:
        """Read an object of the API; None if it isn't a webhook."""
        if not isinstance(value, dict) or not (webhook_id := _text(value, "id")):
            return None
        failures = value.get("consecutive_failures")
        return cls(
            webhook_id,
            _text(value, "url") or "",
            enabled=value.get("enabled") is not False,
            events=_texts(value, "events"),
            resource_id=_text(value, "resource_id"),
            child_resource_events=value.get("child_resource_events") is True,
            api_version=_text(value, "api_version") or "v1",
            pin=_text(value, "api_version_date"),
            disabled_at=_text(value, "disabled_at"),
            disabled_reason=_text(value, "disabled_reason"),
            failing_since=_text(value, "failing_since"),
            consecutive_failures=failures if isinstance(failures, int) else 0,
            secret=_text(value, "webhook_secret"),
        )


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """A row of Whop's delivery log: one attempt to deliver one event."""

    id: str | None
    """``whdel_…``."""
    event_type: str
    sent_at: float | None
    """In unix seconds."""
    success: bool
    response_code: int | None
    """The HTTP status of the answer; None or 0 if there was none."""
    envelope: Mapping[str, JsonValue] = field(repr=False)
    """The whole body that was sent, as JSON values; empty if Whop has none."""
    replayed_from: str | None = None
    """The attempt that this one replayed, if somebody had Whop replay it."""

    @classmethod
    def read(cls, value: JsonValue) -> LoggedAttempt:
        """Read an object of the API, whatever it is."""
        row: Mapping[str, JsonValue] = value if isinstance(value, dict) else {}
        envelope, code = row.get("request_body"), row.get("response_code")
        body: Mapping[str, JsonValue] = envelope if isinstance(envelope, dict) else {}
        return cls(
            _text(row, "id"),
            _text(row, "event") or _text(body, "type") or "",
            unix_time(row.get("sent_at")),
            row.get("success") is True,
            int(code) if isinstance(code, (int, float)) and not isinstance(code, bool) else None,
            body,
            _text(row, "replayed_from"),
        )

    @property
    def delivery_id(self) -> str | None:
        """The ``webhook-id``, the same on each attempt; None if the log has no usable one."""
        claimed = self.envelope.get("id")
        return claimed if isinstance(claimed, str) and _USABLE_ID.fullmatch(claimed) else None


class TestAnswer(NamedTuple):
    """How the app answered a delivery that Whop sent on request."""

    status: int
    """The HTTP status; 0 if Whop couldn't reach the app."""
    success: bool


def unix_time(value: JsonValue) -> float | None:
    """Return a time of the API, in ISO 8601 or unix seconds, as unix seconds; None if it can't be one."""
    seconds = _seconds(value)
    return seconds if seconds is not None and _EARLIEST <= seconds <= _LATEST else None


def _seconds(value: JsonValue) -> float | None:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, str):
            return None
        # Python 3.10 reads neither Z nor a fraction of other than 3 or 6 digits.
        text = re.sub(r"\.(\d{1,6})\d*", lambda match: f".{match[1]:0<6}", value.replace("Z", "+00:00"))
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def _text(value: Mapping[str, JsonValue], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) and found else None


def _texts(value: Mapping[str, JsonValue], name: str) -> tuple[str, ...]:
    found = value.get(name)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()
