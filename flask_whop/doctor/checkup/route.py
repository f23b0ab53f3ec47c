"""Checks the route: what happens to signed requests on their way through the app."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import request_started
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.utils import host_is_trusted

from flask_whop.config import NAME
from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.checkup.rehearsal import Answer, Rehearsal, host_of
from flask_whop.doctor.finding import Check, Finding
from flask_whop.doctor.watch import Refused, examine
from flask_whop.engine.installation import Installation
from flask_whop.errors import Reason
from flask_whop.names import name_of

if TYPE_CHECKING:
    from flask import Flask

_OK, _MULTIPLE, _BAD, _NOT_FOUND, _NOT_ALLOWED, _FAULT = 200, 300, 400, 404, 405, 500
_SLOW = 2.5
_LOCAL = re.compile(r"\.?localhost|127\..*|0\.0\.0\.0|\[?::1\]?", re.ASCII)


def check_route(app: Flask) -> Check:
    """Send a genuine, a failing and a forged request through the WSGI stack of ``app``."""
    path = Installation.of(app).path
    rehearsal = Rehearsal(app)
    genuine = rehearsal.genuine()
    if not (genuine.reached and genuine.status == _OK):
        findings = [_why_not_taken(rehearsal, genuine)]
        return Check("route", f"POST {path}: a signed request is answered {genuine.status}", findings)
    findings = [*_failures(rehearsal), *_plain_http(rehearsal), *_slow(genuine), *_local_hosts(app)]
    forged = "" if any(finding.id == "W107" for finding in findings) else ", a forged one 401"
    return Check("route", f"POST {path}: a signed request is answered 200{forged}", findings)


def _why_not_taken(rehearsal: Rehearsal, genuine: Answer) -> Finding:
    if genuine.refused is not None:
        return _changed_on_its_way(rehearsal, genuine.refused)
    if genuine.hooks:
        return _hook(genuine)
    if genuine.reached:
        return _answer_changed(genuine)
    if rehearsal.has_middleware and rehearsal.genuine(past_middleware=True).reached:
        return _middleware(rehearsal, genuine)
    return _never_reached(rehearsal.app, genuine)


def _never_reached(app: Flask, genuine: Answer) -> Finding:
    if _MULTIPLE <= genuine.status < _BAD:
        return catalog.W102.of(status=genuine.status, location=genuine.location)
    return catalog.W108.of(action=_action(genuine)) if genuine.status >= _FAULT else _other_view(app, genuine)


def _changed_on_its_way(rehearsal: Rehearsal, refused: Refused) -> Finding:
    reason = refused.rejection.reason
    if reason is Reason.BODY_EATEN:
        return catalog.W104.of(reader=_reader(rehearsal))
    mistake = examine(rehearsal.app, refused.captured, now=Installation.of(rehearsal.app).verifier.clock())
    changed = "body" if refused.captured.body != rehearsal.body else "headers"
    what = mistake.what if mistake else f"something changes its {changed} on the way."
    return catalog.W105.of(reason=reason.value, what=what, suspect=_suspect(rehearsal))


def _reader(rehearsal: Rehearsal) -> str:
    if rehearsal.has_middleware and rehearsal.genuine(past_middleware=True).reached:
        return f"WSGI middleware ({_middleware_name(rehearsal.app)})"
    early = rehearsal.app.url_value_preprocessors.get(None, [])
    listening = [receiver for receiver in request_started.receivers_for(rehearsal.app) if callable(receiver)]
    names = ", ".join(name_of(function) for function in (*early, *listening))
    return names or "something that runs before the app's hooks"


def _suspect(rehearsal: Rehearsal) -> str:
    return f"WSGI middleware ({_middleware_name(rehearsal.app)})" if rehearsal.has_middleware else "The app"


def _middleware_name(app: Flask) -> str:
    outermost = app.wsgi_app
    return name_of(outermost if hasattr(outermost, "__qualname__") else type(outermost))


def _hook(genuine: Answer) -> Finding:
    actions = "; ".join(f"{hook.name} {hook.action}" for hook in genuine.hooks)
    if genuine.reached:
        fix = 'Let the hook leave the route alone: if request.blueprint == "whop": return response.'
        return catalog.W106.of(what=f"A hook of the app changes the answer: {actions}.", status=genuine.status, fix=fix)
    if any("csrf" in hook.name.lower() for hook in genuine.hooks):
        return catalog.W112.of(actions=actions)
    target = f" It leads to {genuine.location}." if genuine.location else ""
    return catalog.W103.of(actions=actions, status=genuine.status, target=target)


def _answer_changed(genuine: Answer) -> Finding:
    what = f"The answer 200 is changed to {genuine.status} on its way out."
    fix = "Check WSGI middleware, Flask.process_response, and hooks that raise."
    return catalog.W106.of(what=what, status=genuine.status, fix=fix)


def _middleware(rehearsal: Rehearsal, genuine: Answer) -> Finding:
    target = f", which leads to {genuine.location}" if genuine.location else ""
    return catalog.W113.of(middleware=_middleware_name(rehearsal.app), action=f"{_action(genuine)}{target}")


def _action(genuine: Answer) -> str:
    return f"raises {genuine.error}" if genuine.error else f"answers {genuine.status}"


def _other_view(app: Flask, genuine: Answer) -> Finding:
    try:
        adapter = app.url_map.bind(host_of(Installation.of(app)), url_scheme="https")
        endpoint: str | None = adapter.match(Installation.of(app).settings.path, method="POST", return_rule=False)[0]
    except HTTPException:
        endpoint = None
    if endpoint is not None and endpoint != f"{NAME}.receive":
        what = f"The view {endpoint} gets the requests to the webhook's path."
        fix = "Give one of the two another path; the webhook's is WHOP_WEBHOOK_PATH."
    elif genuine.status in (_NOT_FOUND, _NOT_ALLOWED):
        what = f"The webhook's path isn't routed to it: {genuine.status}."
        fix = "Check SERVER_NAME, host_matching and subdomain_matching, and other rules for the path."
    elif (host := _untrusted(app)) is not None:
        what = f"TRUSTED_HOSTS doesn't list {host}, so a delivery there is answered {genuine.status}."
        fix = "Add the host of the address that Whop has (WHOP_WEBHOOK_HOST, if it's set)."
    else:
        what = f"Something answers {genuine.status} before the webhook's route does."
        fix = "Check request limits, and Flask.dispatch_request if it's overridden."
    return catalog.W101.of(what=what, fix=fix)


def _untrusted(app: Flask) -> str | None:
    """The host of the route, if TRUSTED_HOSTS doesn't list it."""
    host, trusted = host_of(Installation.of(app)), app.config.get("TRUSTED_HOSTS")
    return host if trusted is not None and not host_is_trusted(host, trusted) else None


def _local_hosts(app: Flask) -> list[Finding]:
    trusted = app.config.get("TRUSTED_HOSTS")
    hosts = [trusted] if isinstance(trusted, str) else list(trusted or ())
    if not hosts or not all(_LOCAL.fullmatch(host) for host in hosts):
        return []
    return [catalog.W114.of(hosts=", ".join(hosts))]


def _failures(rehearsal: Rehearsal) -> list[Finding]:
    """Whether a failure leaves the app as a success."""
    hidden = [
        (meant, answer)
        for meant, answer in ((409, rehearsal.failing()), (401, rehearsal.forged()))
        if answer.status < _MULTIPLE
    ]
    if not hidden:
        return []
    changes = ", ".join(f"{meant} becomes {answer.status}" for meant, answer in hidden)
    hooks = ", ".join(dict.fromkeys(hook.name for _, answer in hidden for hook in answer.hooks))
    return [catalog.W107.of(changes=f"{changes}{f', by {hooks}' if hooks else ''}")]


def _plain_http(rehearsal: Rehearsal) -> list[Finding]:
    answer = rehearsal.genuine(scheme="http")
    redirected = _MULTIPLE <= answer.status < _BAD
    return [catalog.W110.of(status=answer.status, location=answer.location)] if redirected else []


def _slow(genuine: Answer) -> list[Finding]:
    return [catalog.W111.of(seconds=genuine.seconds)] if genuine.seconds >= _SLOW else []
