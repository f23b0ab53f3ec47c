"""Signing and verifying deliveries by the Standard Webhooks scheme, as Whop uses it.

Whop's key is the UTF-8 text of the whole secret, ``ws_`` included; nothing is decoded or
stripped.
"""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from codecs import getincrementaldecoder
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256
from hmac import compare_digest
from typing import Final, TypedDict
from uuid import uuid4

from standardwebhooks import Webhook
from standardwebhooks.webhooks import hmac_data

from flask_whop.errors import Reason, Rejected
from flask_whop.names import LEGACY_ID

HEADERS_READ: Final = ("webhook-id", "webhook-timestamp", "webhook-signature", "x-whop-signature", "content-encoding")
"""The headers that verification reads; ``x-whop-signature`` belongs to Whop's legacy format."""

LEGACY_HEADER: Final = HEADERS_READ[3]

MAX_CANDIDATES: Final = 16
"""How many signatures of one request are checked; a sender that rotates keys sends two."""

# A full stop separates the signed parts, so an id can't contain one: the Standard Webhooks
# spec, "Signature scheme".
ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,255}", re.ASCII)
"""The form of a ``webhook-id``."""
_SECONDS = re.compile(r"[1-9][0-9]{0,10}", re.ASCII)
# A candidate is a whole word: base64 of the 32 bytes of a SHA-256. The spec separates words
# with a space, and servers join repeated headers with a comma.
_CANDIDATE = re.compile(r"(?<![^ ,])v1,([A-Za-z0-9+/]{43}=)(?![^ ,])", re.ASCII)
# The legacy format, by Whop's guides of that time: t=<unix seconds>,v1=<hex of a SHA-256>.
_LEGACY_TIME = re.compile(r"(?<![^ ,])t=([^ ,]*)", re.ASCII)
_LEGACY_CANDIDATE = re.compile(r"(?<![^ ,])v1=([0-9A-Fa-f]{64})(?![^ ,])", re.ASCII)
_MAX_SIGNATURE_HEADER = 8192
_STEP = 16_384


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request with a good signature, or what was pulled from Whop's delivery log over its authenticated API."""

    id: str
    """The ``webhook-id`` (``msg_…``): the same on every retry of the same event."""
    timestamp: int
    """When it was signed, or sent if it was pulled, in unix seconds."""
    body: bytes = field(repr=False)
    """The signed bytes; if it was pulled, the same values as JSON written again."""
    secret_index: int | None
    """Which configured secret matched, counted from 0; None if it was pulled."""
    received_at: float | None = None
    """When it first arrived, in unix seconds by the store's clock; None while it arrives."""


def fingerprint(secret: str) -> str:
    """Return 16 hex digits of a hash, which identify a secret and reveal nothing else about it."""
    return sha256(f"flask_whop endpoint {secret}".encode()).hexdigest()[:16]


class Verifier:
    """Verifies deliveries.

    ``tolerance`` is how many seconds ago, or ahead, the signing time may be. ``clock``
    returns the unix time. With ``legacy``, requests of Whop's legacy format are verified
    as well; they have no id, so a hash of the body stands for it.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        tolerance: float = 300.0,
        clock: Callable[[], float] = time.time,
        legacy: bool = False,
    ) -> None:
        self._legacy = legacy
        self._keys = [secret.encode() for secret in secrets]
        self._tolerance = tolerance
        self.clock = clock

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """Return the delivery, or raise :class:`~flask_whop.errors.Rejected` with the reason.

        ``headers`` are those of :data:`HEADERS_READ` that the request has, with lower-case
        names. Whatever they and the body hold, nothing else is raised.
        """
        if self._legacy and is_legacy(headers):
            return self._verify_legacy(headers, body)
        claimed_id, seconds, signatures = read_headers(headers)
        self._check_time(seconds, claimed_id)
        candidates = candidates_in(signatures, claimed_id)
        if not _is_utf8(body):
            raise Rejected(_not_utf8(headers), claimed_id)
        prefix = f"{claimed_id}.{seconds}.".encode()
        for index, key in enumerate(self._keys):
            expected = _signature(key, prefix, body)
            for candidate in candidates:
                if compare_digest(expected, candidate):
                    return Delivery(claimed_id, seconds, body, index)
        raise Rejected(Reason.SIGNATURE_MISMATCH, claimed_id)

    def _verify_legacy(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        seconds, candidates = read_legacy_header(headers)
        self._check_time(seconds, None)
        if not _is_utf8(body):
            raise Rejected(_not_utf8(headers))
        prefix = f"{seconds}.".encode()
        for index, key in enumerate(self._keys):
            expected = hmac_data(key, prefix + body)
            for candidate in candidates:
                if compare_digest(expected, candidate):
                    return Delivery(legacy_id(body), seconds, body, index)
        raise Rejected(Reason.SIGNATURE_MISMATCH)

    def _check_time(self, seconds: int, claimed_id: str | None) -> None:
        age = self.clock() - seconds
        if age > self._tolerance:
            raise Rejected(Reason.TIMESTAMP_TOO_OLD, claimed_id)
        if age < -self._tolerance:
            raise Rejected(Reason.TIMESTAMP_TOO_NEW, claimed_id)


def _signature(key: bytes, prefix: bytes, body: bytes) -> str:
    # Webhook.sign does the same from text, which would take up to nine times the body in memory.
    return b64encode(hmac_data(key, prefix + body)).decode()


def _is_utf8(body: bytes) -> bool:
    """Whether ``body`` is UTF-8, decoded piece by piece: as text it may take four times the memory."""
    if body.isascii():
        return True
    decoder = getincrementaldecoder("utf-8")()
    view = memoryview(body)
    try:
        for start in range(0, len(body), _STEP):
            decoder.decode(view[start : start + _STEP])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(headers: Mapping[str, str]) -> Reason:
    encoding = headers.get("content-encoding", "").strip().lower()
    return Reason.BODY_NOT_UTF8 if encoding in ("", "identity") else Reason.BODY_ENCODED


def sign(body: bytes, secret: str, *, delivery_id: str, timestamp: int | None = None) -> dict[str, str]:
    """Return the headers that Whop would send with ``body``.

    ``timestamp`` is in unix seconds; the default is now.
    """
    seconds = int(time.time()) if timestamp is None else timestamp
    signed_at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(seconds),
        # Bytes: the library would take text for base64, and decode it into another key.
        "webhook-signature": Webhook(secret.encode()).sign(delivery_id, signed_at, body.decode()),
    }


def sign_legacy(body: bytes, secret: str, *, timestamp: int | None = None) -> dict[str, str]:
    """Return the header that Whop would send with ``body`` from a webhook of its legacy format.

    ``timestamp`` is in unix seconds; the default is now.
    """
    seconds = int(time.time()) if timestamp is None else timestamp
    signature = hmac_data(secret.encode(), f"{seconds}.".encode() + body).hex()
    return {LEGACY_HEADER: f"t={seconds},v1={signature}"}


class SignedRequest(TypedDict):
    """The arguments of a test client's ``post``."""

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
    ``webhook-id``; the default is the payload's ``id``, or a new one. ``timestamp`` is in
    unix seconds; the default is now.
    """
    if isinstance(payload, bytes):
        body = payload
    else:
        body = encoded(payload)
        delivery_id = delivery_id or str(payload.get("id") or "") or None
    headers = sign(body, secret, delivery_id=delivery_id or f"msg_{uuid4().hex}", timestamp=timestamp)
    return {"data": body, "headers": {"content-type": "application/json", **headers}}


def encoded(payload: Mapping[str, object]) -> bytes:
    """Return ``payload`` as JSON, the way Whop writes it; half of a surrogate pair is escaped."""
    try:
        return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(payload, separators=(",", ":")).encode()


def read_headers(headers: Mapping[str, str]) -> tuple[str, int, str]:
    """Return the id, the unix seconds and the signatures that a request claims.

    Raises :class:`~flask_whop.errors.Rejected` if one of them is missing or malformed.
    """
    claimed_id = headers.get("webhook-id")
    seconds = headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if not (claimed_id and seconds and signatures):
        raise Rejected(Reason.OLD_FORMAT if is_legacy(headers) else Reason.HEADERS_MISSING)
    if not ID.fullmatch(claimed_id):
        raise Rejected(Reason.ID_MALFORMED)
    if not _SECONDS.fullmatch(seconds):
        raise Rejected(Reason.TIMESTAMP_MALFORMED, claimed_id)
    return claimed_id, int(seconds), signatures


def is_legacy(headers: Mapping[str, str]) -> bool:
    """Whether a request is of Whop's legacy format; any header of today's format says that it isn't."""
    return LEGACY_HEADER in headers and not any(name in headers for name in HEADERS_READ[:3])


def read_legacy_header(headers: Mapping[str, str]) -> tuple[int, list[bytes]]:
    """Return the unix seconds and the signatures that a request of the legacy format claims.

    Raises :class:`~flask_whop.errors.Rejected` if one of them is missing or malformed.
    """
    value = headers[LEGACY_HEADER]
    if len(value) > _MAX_SIGNATURE_HEADER:
        raise Rejected(Reason.SIGNATURE_MALFORMED)
    times, candidates = _LEGACY_TIME.findall(value), _LEGACY_CANDIDATE.findall(value)[:MAX_CANDIDATES]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise Rejected(Reason.TIMESTAMP_MALFORMED)
    if not candidates:
        raise Rejected(Reason.SIGNATURE_MALFORMED)
    return int(times[0]), [bytes.fromhex(candidate) for candidate in candidates]


def legacy_id(body: bytes) -> str:
    """Return what a delivery of the legacy format is known by: two with the same body are one delivery."""
    return f"{LEGACY_ID}{sha256(body).hexdigest()[:32]}"


def candidates_in(signatures: str, claimed_id: str) -> list[str]:
    """Return the signatures to check, in base64.

    Raises :class:`~flask_whop.errors.Rejected` if there is none.
    """
    if len(signatures) > _MAX_SIGNATURE_HEADER:
        raise Rejected(Reason.SIGNATURE_MALFORMED, claimed_id)
    candidates = _CANDIDATE.findall(signatures)[:MAX_CANDIDATES]
    if not candidates:
        raise Rejected(Reason.SIGNATURE_MALFORMED, claimed_id)
    return candidates
