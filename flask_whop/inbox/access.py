"""Who may look at the inbox and who may change something, and the headers that keep others out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, request
from flask import Response as FlaskResponse
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from flask_whop.errors import SetupError
from flask_whop.logs import log

Authorize: TypeAlias = Callable[[], "bool | Response"]
"""Says whether the person of the current request may: True or False, or an answer such as a redirect to a login."""

NO_AUTHORIZE: Final = (
    "The inbox shows customers' data, so it needs authorize=, which says who may look:"
    " WhopInbox(app, authorize=is_staff). It may be left out in debug mode alone (flask --debug run), and then only"
    " this machine can look."
)

_LOOPBACK: Final = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
_LOCAL_NAMES: Final = {"localhost", *_LOOPBACK}
_FORWARDED: Final = (
    *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"),
    *("CF-Connecting-IP", "True-Client-IP"),
)

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not no-referrer: then browsers say of our own forms that they come from nowhere.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


class Access:
    """Decides about each request to the inbox of one app.

    Raises :class:`~flask_whop.errors.SetupError` without ``authorize``, unless the app is in
    debug mode.
    """

    def __init__(self, app: Flask, authorize: Authorize | None, authorize_replay: Authorize | None) -> None:
        if authorize is None and not app.debug:
            raise SetupError(NO_AUTHORIZE)
        self._look = authorize
        self._replay = authorize_replay

    def check(self) -> Response | None:
        """Return the answer to a request that goes no further; None if it may look, and change what it wants to."""
        refusal = self._refusal(self._look) if self._look is not None else _unless_local()
        if refusal is None and request.method not in ("GET", "HEAD", "OPTIONS"):
            if not _is_of_same_origin():
                log.warning("A request from another site to change something through the inbox was refused.")
                abort(403, "This form was sent from another site.")
            refusal = self._refusal(self._replay) if self._replay is not None else None
        return refusal

    def may_replay(self) -> bool:
        """Whether the person of this request may run deliveries again."""
        try:
            return self._replay is None or self._refusal(self._replay) is None
        except Forbidden:
            return False

    def _refusal(self, authorize: Authorize) -> Response | None:
        answer: object = current_app.ensure_sync(authorize)()
        if answer is True:
            return None
        if isinstance(answer, Response):
            return answer
        if answer is not False and answer is not None:
            # Such as a tuple of a text and 403, which is true, and would let everybody in.
            raise SetupError(f"authorize= returned {type(answer).__name__}: return True, False, or a flask.Response.")
        raise Forbidden("You may not do this.")


def protect(response: FlaskResponse) -> FlaskResponse:
    """Add the headers that keep a page out of caches, frames, search engines, and the hands of other sites."""
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _unless_local() -> Response | None:
    """Refuse a request that doesn't come from this machine, under one of its own names, through no proxy."""
    name = urlsplit(f"//{request.host}").hostname
    through_a_proxy = any(header in request.headers for header in _FORWARDED)
    if not current_app.debug or request.remote_addr not in _LOOPBACK or name not in _LOCAL_NAMES or through_a_proxy:
        abort(403, NO_AUTHORIZE)
    return None


def _is_of_same_origin() -> bool:
    """Whether a page of this very site has sent the request; browsers say so, and no page can make them lie."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    # Not urlsplit, which raises on what isn't a URL.
    return origin is not None and origin.partition("://")[2] == request.host
