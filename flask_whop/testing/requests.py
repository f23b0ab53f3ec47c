"""Deliveries that are signed as Whop signs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypedDict
from uuid import uuid4

from flask_whop.signature import sign


class SignedRequest(TypedDict):
    """What a test client's ``post`` takes."""

    data: bytes
    headers: dict[str, str]


def signed(
    payload: Mapping[str, object] | bytes,
    secret: str,
    *,
    delivery_id: str | None = None,
    timestamp: int | None = None,
) -> SignedRequest:
    """Sign ``payload`` as Whop would: ``client.post("/webhooks/whop", **signed(…))``.

    ``payload`` is the whole body, as a mapping or as its bytes. ``delivery_id`` is the
    ``webhook-id``; the payload's ``id`` where it is left out, and a new one if it has
    none. ``timestamp`` is in unix seconds, and now where it is left out.
    """
    if isinstance(payload, bytes):
        body = payload
    else:
        body = encoded(payload)
        delivery_id = delivery_id or str(payload.get("id") or "") or None
    headers = sign(body, secret, delivery_id=delivery_id or f"msg_{uuid4().hex}", timestamp=timestamp)
    return {"data": body, "headers": {"content-type": "application/json", **headers}}


def encoded(payload: Mapping[str, object]) -> bytes:
    """Write ``payload`` as the JSON of a body."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
