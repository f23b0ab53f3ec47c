"""The checks of an app before it goes live: secret, route, store, dispatch, receivers and clock."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from statistics import median
from typing import TYPE_CHECKING

from flask_whop.config import misspelled
from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.checkup.receivers import check_receivers
from flask_whop.doctor.checkup.route import check_route
from flask_whop.doctor.checkup.store import check_dispatch, check_store
from flask_whop.doctor.diagnosis.guesses import WHOP_SECRET, cleaned, decoded
from flask_whop.doctor.finding import Check, Finding
from flask_whop.engine.installation import Installation
from flask_whop.errors import StoreUnavailable
from flask_whop.stores import Filter, Origin

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
        findings.append(catalog.W002)
    findings += [*_overridden(installation), *_misspelled(installation)]
    whole = sum(WHOP_SECRET.fullmatch(secret) is not None for secret in secrets)
    return Check("secret", f"{whole} of {len(secrets)} with ws_ and 64 hex digits", findings)


def _form(secret: str, name: str) -> Finding | None:
    if WHOP_SECRET.fullmatch(secret):
        return None
    if WHOP_SECRET.fullmatch(cleaned(decoded(secret).decode("ascii", "replace"))):
        form = "is base64 of a secret, not the secret."
    elif secret.startswith("whsec_"):
        form = "begins with whsec_, as other senders' secrets do; Whop's begin with ws_."
    elif WHOP_SECRET.fullmatch(f"ws_{cleaned(secret)}"):
        form = "has lost the ws_ at its start."
    elif WHOP_SECRET.search(secret):
        form = "has something around the secret, perhaps an invisible character."
    else:
        form = "doesn't have the form of Whop's secrets, ws_ and 64 hex digits: an API key, perhaps?"
    return catalog.W001.of(name=name, form=form)


def _overridden(installation: Installation) -> list[Finding]:
    other = [secret.strip() for secret in os.environ.get("WHOP_WEBHOOK_SECRET", "").split(",") if secret.strip()]
    return [catalog.W003] if other and not set(other) <= set(installation.settings.secrets) else []


def _misspelled(installation: Installation) -> list[Finding]:
    return [catalog.W004.of(key=key, nearest=nearest) for key, nearest in misspelled(installation.app.config)]


def check_clock(installation: Installation) -> Check:
    """Check whether the clock can be right, also by the dates of the last deliveries."""
    now, tolerance = installation.verifier.clock(), installation.settings.tolerance
    findings = []
    if not _EARLIEST < now < _LATEST:
        findings.append(catalog.W501.of(what=f"The clock says {_date(now)}."))
    elif abs(off := _offset(installation)) > _CLOCK_OFF:
        difference = f"{abs(off):.0f} seconds {'ahead of' if off > 0 else 'behind'} Whop's"
        what = f"Judging by the last deliveries, this machine's clock is {difference}."
        findings.append(catalog.W501.of(what=what))
    if not _TOLERANCES[0] <= tolerance <= _TOLERANCES[1]:
        findings.append(catalog.W502.of(seconds=tolerance))
    return Check("clock", f"{_date(now)}, tolerance {tolerance:.0f} s", findings)


def _offset(installation: Installation) -> float:
    """How many seconds after being signed the last deliveries arrived: roughly the clock's error."""
    try:
        last = installation.store.find(installation.engine.endpoint, Filter(), _LOOKED_AT)
    except StoreUnavailable:
        return 0.0
    offsets = [
        stored.received_at - stored.signed_at
        for stored in last
        if stored.attempts <= 1 and stored.origin is Origin.ARRIVED
    ]
    return median(offsets) if len(offsets) >= _ENOUGH else 0.0


def _date(now: float) -> str:
    try:
        return datetime.fromtimestamp(now, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{now:.0f} seconds after 1970"
