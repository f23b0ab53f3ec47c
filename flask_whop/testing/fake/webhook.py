"""A webhook at the fake Whop, and a delivery that it really makes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from flask_whop.events.samples.facts import iso
from flask_whop.signature import signed

if TYPE_CHECKING:
    from pydantic import JsonValue

SUCCESS: Final = range(200, 300)
"""The statuses that count as delivered."""

OWN_ACCOUNT: Final = "biz_fake"
"""The account of the key."""

_ANSWER_SECONDS = 5.0
_FIRST_BYTES = 100


@dataclass
class FakeWebhook:
    """A webhook at the fake Whop. Change its fields as Whop's dashboard would."""

    id: str
    url: str
    events: list[str]
    secret: str = field(repr=False)
    enabled: bool = True
    resource_id: str = OWN_ACCOUNT
    child_resource_events: bool = False
    api_version: str = "v1"
    api_version_date: str | None = None
    disabled_at: str | None = None
    disabled_reason: str | None = None
    failing_since: str | None = None
    consecutive_failures: int = 0
    log: list[dict[str, JsonValue]] = field(default_factory=list, repr=False)
    """The rows of its delivery log, the oldest first."""

    def shown(self, *, secret: bool = False, listed: bool = False) -> dict[str, JsonValue]:
        """Return the JSON that the API shows of it."""
        shown: dict[str, JsonValue] = {
            "id": self.id,
            "url": self.url,
            "events": [*self.events],
            "enabled": self.enabled,
            "resource_id": self.resource_id,
            "child_resource_events": self.child_resource_events,
            "api_version": self.api_version,
            "api_version_date": self.api_version_date,
            "created_at": "2026-11-01T00:00:00.000Z",
            "disabled_at": self.disabled_at,
            "disabled_reason": self.disabled_reason,
            "failing_since": self.failing_since,
            "last_failure_at": None,
            "consecutive_failures": self.consecutive_failures,
            "webhook_secret": self.secret if secret else None,
        }
        if not listed:
            shown["testable_events"] = [*self.events]
        return shown


def iso_of(at: float) -> str:
    """Write a unix time as Whop does."""
    return iso(datetime.fromtimestamp(at, tz=timezone.utc))


def post(url: str, body: Mapping[str, JsonValue], secret: str) -> tuple[int, dict[str, JsonValue] | None]:
    """Deliver a body; return the status of the answer, 0 if there is none, and what the log keeps of it."""
    parts, request = urlsplit(url), signed(body, secret)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", parts.path or "/", request["data"], request["headers"])
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return response.status, answer
    return response.status, {"error": "not JSON", "raw_body": content[:_FIRST_BYTES].decode("utf-8", "replace")}
