"""Finds the known mistake that explains why a signature doesn't match.

It does no I/O, and a bounded amount of work whatever the request holds: a few dozen
hashes for each of a few secrets, of :data:`MAX_HASHED` bytes in all.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from itertools import islice
from types import MappingProxyType
from typing import Final

from flask_whop.doctor.diagnosis.guesses import MAX_BODY as MAX_BODY
from flask_whop.doctor.diagnosis.guesses import WHOP_SECRET, bodies, keys
from flask_whop.doctor.diagnosis.mistakes import Mistake as Mistake
from flask_whop.doctor.finding import Finding
from flask_whop.errors import Rejected
from flask_whop.grammar import counted
from flask_whop.signature import candidates_in, read_headers, read_legacy_header

MAX_HASHED: Final = 32 * MAX_BODY
"""How many bytes are hashed for one request; requests of Whop's usual size never come near it."""

NO_OTHERS: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})

_MAX_SECRETS = 8
_MAX_OTHERS = 32


@dataclass(slots=True)
class _Signed:
    """What a request says about its signature."""

    before: bytes
    """What is signed before the body."""
    seconds: int
    digests: tuple[bytes, ...]
    left: int = MAX_HASHED
    """How many bytes may still be hashed."""

    def by(self, key: bytes, body: bytes) -> bool:
        """Whether one of the signatures is that of ``body`` with ``key``; False too when the budget is used up."""
        self.left -= len(body)
        if self.left < 0:
            return False
        expected = hmac.new(key, self.before, hashlib.sha256)
        expected.update(body)
        return any(compare_digest(expected.digest(), digest) for digest in self.digests)


def diagnose(  # noqa: PLR0913  # what a verification depends on, each by name
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    *,
    others: Mapping[str, Sequence[str]] = NO_OTHERS,
    now: float,
    tolerance: float = 300.0,
    legacy: bool = False,
) -> Finding | None:
    """Find the known mistake that keeps a request from being verified; None if none explains it.

    The names of ``headers`` are in lower case; besides those that are verified,
    ``content-length`` says whether a body was announced. ``secrets`` are the configured
    ones. ``others`` are other known secrets, by where they are, such as ``the app
    'shop'``. ``now`` is in unix seconds. ``legacy`` says that the request is of Whop's
    legacy format, and that the app takes it. It raises nothing, whatever they hold. It also
    returns None if nothing is wrong, or if the body is larger than :data:`MAX_BODY`.
    """
    if len(body) > MAX_BODY:
        return None
    secrets = secrets[:_MAX_SECRETS]
    signed = _read_legacy(headers) if legacy else _read(headers)
    if signed is None:
        return _legacy(headers, body, secrets, others)
    if not body:
        return _without_body(headers)
    if any(signed.by(secret.encode(), body) for secret in secrets):
        return _out_of_time(now - signed.seconds, tolerance)
    return _unmatched(signed, body, secrets, others)


def _unmatched(
    signed: _Signed, body: bytes, secrets: Sequence[str], others: Mapping[str, Sequence[str]]
) -> Finding | None:
    for index, secret in enumerate(secrets):
        if mistake := next((mistake for mistake, key in keys(secret) if signed.by(key, body)), None):
            return mistake.finding(where=_where(index, secrets))
    for name, secret in _others(others):
        if signed.by(secret.encode(), body):
            return Mistake.SECRET_ELSEWHERE.finding(elsewhere=name)
    if mistake := _changed(signed, body, secrets):
        return mistake.finding()
    if not any(WHOP_SECRET.fullmatch(secret) for secret in secrets):
        return Mistake.SECRET_NOT_WHOPS.finding(where="WHOP_WEBHOOK_SECRET")
    return None


def _changed(signed: _Signed, body: bytes, secrets: Sequence[str]) -> Mistake | None:
    """What changed the body on its way, if one of ``secrets`` is right."""
    for mistake, sent in bodies(body):
        if any(signed.by(secret.encode(), sent) for secret in secrets):
            return mistake
        if signed.left <= 0:
            break
        del sent  # before the next one is made
    return None


def _out_of_time(age: float, tolerance: float) -> Finding | None:
    if abs(age) <= tolerance:
        return None
    mistake = Mistake.CLOCK_FAST if age > 0 else Mistake.CLOCK_SLOW
    return mistake.finding(age=counted(round(abs(age)), "second"), tolerance=round(tolerance))


def _without_body(headers: Mapping[str, str]) -> Finding:
    length = headers.get("content-length", "").strip()
    if re.fullmatch(r"[1-9][0-9]{0,18}", length, re.ASCII):
        return Mistake.BODY_EATEN.finding(length=counted(int(length), "byte"))
    return Mistake.BODY_EMPTY.finding()


def _legacy(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], others: Mapping[str, Sequence[str]]
) -> Finding | None:
    signed = _read_legacy(headers)
    if signed is None:
        return None
    configured = ((_where(index, secrets), secret) for index, secret in enumerate(secrets))
    for name, secret in (*configured, *_others(others)):
        if signed.by(secret.encode(), body):
            return Mistake.OLD_FORMAT.finding(elsewhere=name)
    return None


def _read_legacy(headers: Mapping[str, str]) -> _Signed | None:
    try:
        seconds, digests = read_legacy_header(headers)
    except (KeyError, Rejected):
        return None
    return _Signed(f"{seconds}.".encode(), seconds, tuple(digests))


def _read(headers: Mapping[str, str]) -> _Signed | None:
    try:
        claimed_id, seconds, signatures = read_headers(headers)
        candidates = candidates_in(signatures, claimed_id)
    except Rejected:
        return None
    return _Signed(f"{claimed_id}.{seconds}.".encode(), seconds, tuple(map(b64decode, candidates)))


def _others(others: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    return islice(((name, secret) for name, secrets in others.items() for secret in secrets), _MAX_OTHERS)


def _where(index: int, secrets: Sequence[str]) -> str:
    return "WHOP_WEBHOOK_SECRET" if len(secrets) == 1 else f"WHOP_WEBHOOK_SECRET[{index}]"
