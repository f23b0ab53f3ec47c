"""The checks of an app before it goes live: secret, route, store, dispatch, receivers and clock."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from statistics import median
from typing import TYPE_CHECKING

from flask_whop.config import strangers
from flask_whop.doctor.checkup.receivers import check_receivers
from flask_whop.doctor.checkup.route import check_route
from flask_whop.doctor.checkup.store import check_dispatch, check_store
from flask_whop.doctor.diagnosis.guesses import WHOP_SECRET, cleaned, decoded
from flask_whop.doctor.findings import Check, Finding, Level
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Filter

if TYPE_CHECKING:
    from flask import Flask

_LOOKED_AT = 50
_CLOCK_OFF = 60.0
_ENOUGH = 3
_TOLERANCES = (30, 900)
# No delivery is older than this library.
_EARLIEST = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
_LATEST = datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()


def check_app(app: Flask) -> list[Check]:
    """Check every part of ``app``.

    Signed requests go through its own WSGI stack; none of its receivers is called, and
    nothing stays in its store. Raises :class:`~flask_whop.errors.SetupError` if
    flask_whop isn't set up for it.
    """
    installation = Installation.of(app)
    return [
        check_secret(installation),
        check_route(app),
        check_store(installation),
        check_dispatch(installation),
        check_receivers(app),
        check_clock(installation),
    ]


def check_secret(installation: Installation) -> Check:
    """Check the form of the secrets, without showing them."""
    secrets = installation.settings.secrets
    findings = [
        finding
        for index, secret in enumerate(secrets)
        if (finding := _form(secret, "WHOP_WEBHOOK_SECRET" if len(secrets) == 1 else f"WHOP_WEBHOOK_SECRET[{index}]"))
    ]
    if len(set(secrets)) < len(secrets):
        findings.append(
            Finding(
                "W002",
                "WHOP_WEBHOOK_SECRET holds the same secret twice.",
                "One of them should be another: a second webhook's, or the new one in a rotation.",
                "Set the missing one, or remove the duplicate.",
                Level.WARNING,
            )
        )
    findings += [*_overridden(installation), *_misspelled(installation)]
    whole = sum(WHOP_SECRET.fullmatch(secret) is not None for secret in secrets)
    return Check("secret", f"{whole} of {len(secrets)} with ws_ and 64 hex digits", findings)


def _form(secret: str, name: str) -> Finding | None:
    if WHOP_SECRET.fullmatch(secret):
        return None
    if WHOP_SECRET.fullmatch(cleaned(decoded(secret).decode("ascii", "replace"))):
        what = f"{name} is base64 of a secret, not the secret."
    elif secret.startswith("whsec_"):
        what = f"{name} begins with whsec_, as other senders' secrets do; Whop's begin with ws_."
    elif WHOP_SECRET.fullmatch(f"ws_{cleaned(secret)}"):
        what = f"{name} has lost the ws_ at its start."
    elif WHOP_SECRET.search(secret):
        what = f"{name} has something around the secret, perhaps an invisible character."
    else:
        what = f"{name} doesn't have the form of Whop's secrets, ws_ and 64 hex digits: an API key, perhaps?"
    return Finding(
        "W001",
        what,
        "Whop's key is the text of the whole secret, so no delivery would be verified.",
        f"Set {name} to the secret exactly as Whop shows it when the webhook is created.",
    )


def _overridden(installation: Installation) -> list[Finding]:
    other = [secret.strip() for secret in os.environ.get("WHOP_WEBHOOK_SECRET", "").split(",") if secret.strip()]
    if not other or set(other) <= set(installation.settings.secrets):
        return []
    return [
        Finding(
            "W003",
            "The environment variable WHOP_WEBHOOK_SECRET and app.config have different secrets.",
            "app.config comes first, so the variable is ignored.",
            "Set the secret in one place only.",
            Level.WARNING,
        )
    ]


def _misspelled(installation: Installation) -> list[Finding]:
    return [
        Finding(
            "W004",
            f"app.config has {key}, which is no setting of flask_whop; {nearest} is.",
            "Nothing reads it, so the default applies.",
            "Spell the setting as the README does.",
            Level.WARNING,
        )
        for key, nearest in strangers(installation.app.config)
    ]


def check_clock(installation: Installation) -> Check:
    """Check whether the clock can be right, also by the dates of the last deliveries."""
    now, tolerance = installation.verifier.clock(), installation.settings.tolerance
    findings = []
    if not _EARLIEST < now < _LATEST:
        findings.append(_wrong_clock(f"The clock says {_date(now)}."))
    elif abs(off := _offset(installation)) > _CLOCK_OFF:
        way = "ahead of" if off > 0 else "behind"
        findings.append(
            _wrong_clock(
                f"Judging by the last deliveries, this machine's clock is {abs(off):.0f} seconds {way} Whop's."
            )
        )
    if not _TOLERANCES[0] <= tolerance <= _TOLERANCES[1]:
        findings.append(
            Finding(
                "W502",
                f"WHOP_WEBHOOK_TOLERANCE is {tolerance:.0f} seconds.",
                "If it's long, someone who saw a request can send it again that long; if it's short, slow requests are"
                " refused.",
                "Leave it at 300: Whop signs each retry afresh.",
                Level.WARNING,
            )
        )
    return Check("clock", f"{_date(now)}, tolerance {tolerance:.0f} s", findings)


def _wrong_clock(what: str) -> Finding:
    return Finding(
        "W501",
        what,
        "A signature is valid for a few minutes, so deliveries are refused when the clock is off.",
        "Set the clock from a time server (timedatectl, chronyc tracking).",
    )


def _offset(installation: Installation) -> float:
    """How many seconds after being signed the last deliveries arrived: roughly the clock's error."""
    try:
        last = installation.store.find(installation.engine.endpoint, Filter(), _LOOKED_AT)
    except StoreUnavailable:
        return 0.0
    offsets = [stored.received_at - stored.signed_at for stored in last if stored.attempts <= 1]
    return median(offsets) if len(offsets) >= _ENOUGH else 0.0


def _date(now: float) -> str:
    try:
        return datetime.fromtimestamp(now, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{now:.0f} seconds after 1970"
