"""The body of a delivery as a JSON object, whatever the bytes are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic_core import from_json

from flask_whop.errors import Reason, Rejected
from flask_whop.names import LEGACY_ID

if TYPE_CHECKING:
    from pydantic import JsonValue

# Fixed, and well under the recursion limit, so an accepted body can be read again wherever its event goes.
_MAX_DEPTH = 500


def parse_object(body: bytes, delivery_id: str | None = None) -> dict[str, JsonValue]:
    """Parse a JSON object; raise :class:`Rejected` if ``body`` isn't one."""
    try:
        value = from_json(body)
    except ValueError:
        value = _parse_leniently(body, delivery_id)
    if not isinstance(value, dict):
        raise Rejected(Reason.NOT_A_JSON_OBJECT, delivery_id)
    return value


def envelope_of(parsed: dict[str, JsonValue], delivery_id: str) -> dict[str, JsonValue]:
    """Return the envelope that a body is; one of the legacy format, told by the id we gave it, as it is today."""
    if not delivery_id.startswith(LEGACY_ID) or "type" in parsed:
        return parsed
    company = parsed.get("company")
    return {
        "type": parsed.get("action"),
        "api_version": parsed.get("api_version", "v2"),
        "account_id": company.get("id") if isinstance(company, dict) else company,
        "data": parsed.get("data"),
    }


def _parse_leniently(body: bytes, delivery_id: str | None) -> object:
    """Parse what JSON allows but the fast parser refuses: half a surrogate pair, deep nesting."""
    try:
        value = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    except ValueError:
        # Python limits the digits of a number, since its parsing time grows with their square.
        raise Rejected(Reason.NUMBER_TOO_LONG, delivery_id) from None
    except RecursionError:
        raise Rejected(Reason.NESTED_TOO_DEEPLY, delivery_id) from None
    if _is_deeper_than(_MAX_DEPTH, value):
        raise Rejected(Reason.NESTED_TOO_DEEPLY, delivery_id)
    return value


def _is_deeper_than(limit: int, value: object) -> bool:
    level = [value]
    for _ in range(limit + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        level = [item for parent in containers for item in (parent.values() if isinstance(parent, dict) else parent)]
    return bool(level)
