"""The route: an HTTP request in, an answer out."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from flask import Blueprint, Request, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.wsgi import get_content_length

from flask_whop.config import NAME
from flask_whop.csrf import exempt_from_csrf
from flask_whop.doctor.watch import DOCTOR, Captured
from flask_whop.engine import Outcome, Status
from flask_whop.engine.dispatch import dispatcher
from flask_whop.engine.health import health_of
from flask_whop.errors import BacklogFull, Reason, Rejected, StoreUnavailable
from flask_whop.grammar import counted
from flask_whop.logs import facts, log
from flask_whop.names import ascii_of, shown
from flask_whop.signals import delivery_answered, delivery_rejected
from flask_whop.signature import HEADERS_READ, Delivery

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from flask_whop.engine.installation import Installation

_BODY = "flask_whop.body"
_HEADERS = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in HEADERS_READ}
_SHOWN = 100
_RETRY_RUNNING = 30
_RETRY_STORE = 60


class WhopBlueprint(Blueprint):
    """The blueprint of one app, with all that serves it."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(NAME, __name__)
        self.installation = installation
        self.begun: bool = installation.store.ready_at_start
        """Whether it's noted since when deliveries are kept; a store in the app's own session notes it later."""


def create_blueprint(installation: Installation) -> WhopBlueprint:
    """Make the blueprint with the one route, ``POST /webhooks/whop`` by default."""
    app, settings = installation.app, installation.settings
    blueprint = WhopBlueprint(installation)
    receive = _view(installation)

    @blueprint.url_value_preprocessor
    def take_body(_endpoint: str | None, _values: object) -> None:
        # The only hook that Flask runs before the app's before_request functions: whatever
        # those read of the stream would be missing from what is signed.
        if not blueprint.begun:
            blueprint.begun = True
            installation.begin()
        exempt_from_csrf(app, NAME)
        incoming = _incoming()
        try:
            incoming.environ[_BODY] = _read_body(incoming, settings.max_bytes)
        except Rejected as rejection:
            incoming.environ[_BODY] = rejection

    # Whop counts a redirect as a failure, so a slash must not cause one.
    blueprint.add_url_rule(
        settings.path,
        "receive",
        receive,
        methods=["POST"],
        host=settings.host,
        strict_slashes=False,
        merge_slashes=False,
    )
    if settings.health_path is not None:
        blueprint.add_url_rule(
            settings.health_path, "health", partial(_health, installation), host=settings.host, strict_slashes=False
        )
    return blueprint


def _health(installation: Installation) -> Response:
    """Answer whether deliveries are taken and run; what is wrong is for the log alone."""
    health = health_of(installation)
    for problem in health.problems:
        log.warning("Not healthy: %s", problem)
    content = {"status": "ok" if health.ok else "unhealthy", "workers": health.workers}
    return Response(json.dumps(content), 200 if health.ok else 503, content_type="application/json")


def _view(installation: Installation) -> Callable[[], Response]:
    app, engine, verifier = installation.app, installation.engine, installation.verifier
    dispatch = dispatcher(installation)
    watch = DOCTOR.watch(app)

    def receive() -> Response:
        """Answer 2xx exactly when Whop may forget the delivery; never raise, whatever comes."""
        started = time.perf_counter()
        response, outcome = answer(started)
        seconds = time.perf_counter() - started
        engine.notify(delivery_answered, outcome=outcome, code=response.status_code, seconds=seconds)
        return response

    def answer(started: float) -> tuple[Response, str]:
        try:
            incoming = _incoming()
            delivery = verifier.verify(_headers_of(incoming), _body_taken(incoming))
            outcome, afterwards = dispatch(delivery)
            _log_outcome(outcome, delivery, started)
            return _answer(outcome, afterwards), outcome.status.value
        except Rejected as rejection:
            _log_rejection(rejection, started)
            engine.notify(delivery_rejected, rejection=rejection)
            response = _ANSWERS[rejection.reason]()
            if (diagnose := watch(rejection, _captured)) is not None:
                response.call_on_close(diagnose)
            return response, "rejected"
        except BacklogFull as error:
            log.warning("Whop is asked to retry: %s", error)
            return _STORE_UNAVAILABLE(), "unavailable"
        except StoreUnavailable as error:
            log.exception("The store is unavailable; Whop is asked to retry.")
            engine.report(error)
            return _STORE_UNAVAILABLE(), "unavailable"
        except Exception as error:
            log.exception("A fault in the webhook receiver; Whop is asked to retry.")
            engine.report(error)
            return _FAULT(), "fault"

    return receive


def _incoming() -> Request:
    """The request itself: each access through its proxy costs as much as hashing a kilobyte."""
    incoming: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  # documented by Werkzeug
    return incoming


def _headers_of(incoming: Request) -> dict[str, str]:
    """The headers that verification reads, straight from WSGI instead of a view of all of them."""
    environ = incoming.environ
    return {name: environ[key] for name, key in _HEADERS.items() if key in environ}


def _body_taken(incoming: Request) -> bytes:
    """The body, which was read before the app's hooks ran; raise the reason if there is none."""
    body: bytes | Rejected = incoming.environ[_BODY]
    if isinstance(body, Rejected):
        raise body
    return body


def _captured() -> Captured:
    """The current request, for a diagnosis."""
    incoming = _incoming()
    body: bytes | Rejected = incoming.environ[_BODY]
    headers = _headers_of(incoming) | {"content-length": incoming.environ.get("CONTENT_LENGTH", "")}
    return Captured(headers, b"" if isinstance(body, Rejected) else body)


def _read_body(incoming: Request, max_bytes: int) -> bytes:
    announced = get_content_length(incoming.environ)
    if announced is not None and announced > max_bytes:
        raise Rejected(Reason.BODY_TOO_LARGE)
    # One byte more than allowed, since Werkzeug silently cuts a chunked body at the limit.
    incoming.max_content_length = max_bytes + 1
    try:
        if announced is None or "stream" in vars(incoming):
            body = incoming.get_data()
        else:
            body = _read_announced(incoming.environ, announced, max_bytes)
    except RequestEntityTooLarge:
        raise Rejected(Reason.BODY_TOO_LARGE) from None
    except Exception as error:  # anything: the exceptions of servers have no class in common
        raise Rejected(_unread(error, incoming)) from error
    if len(body) > max_bytes:
        raise Rejected(Reason.BODY_TOO_LARGE)
    if announced is not None and len(body) < announced:
        raise Rejected(Reason.BODY_INCOMPLETE if body else Reason.BODY_EATEN)
    return body


def _read_announced(environ: WSGIEnvironment, announced: int, max_bytes: int) -> bytes:
    """Read an untouched body of known length, and leave it for the app's hooks to read again.

    Werkzeug's guarded stream costs more than the rest of the reading.
    """
    # A server that ends its streams may have decompressed the body, which is then longer than announced.
    wanted = max_bytes + 1 if "wsgi.input_terminated" in environ else announced
    read = environ["wsgi.input"].read
    body: bytes = read(wanted)
    if 0 < len(body) < wanted:
        pieces = [body]
        missing = wanted - len(body)
        while missing > 0 and (piece := read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        body = b"".join(pieces)
    environ["wsgi.input"] = BytesIO(body)
    return body


def _unread(error: Exception, incoming: Request) -> Reason:
    """Why the body isn't whole: it ended too early, or couldn't be read."""
    if _cause(error) is not None:
        return Reason.BODY_UNREADABLE
    return Reason.BODY_INCOMPLETE if incoming.stream.tell() else Reason.BODY_EATEN


def _cause(error: BaseException | None) -> BaseException | None:
    """What went wrong; None if the body just ended early.

    Werkzeug replaces the stream's exceptions that it knows with its own.
    """
    return error.__context__ if isinstance(error, ClientDisconnected) else error


def _log_outcome(outcome: Outcome, delivery: Delivery, started: float) -> None:
    level = logging.ERROR if outcome.status is Status.FAILED else logging.INFO
    if not log.isEnabledFor(level):
        return
    milliseconds = (time.perf_counter() - started) * 1000
    log.log(
        level,
        "Delivery %s %s %s: %s, %s called, %d failed, secret %d, %.1f ms",
        delivery.id,
        # An unknown type can be any text.
        shown(ascii_of(outcome.event.type or "-"), _SHOWN),
        shown(ascii_of(outcome.event.account_id or "-"), _SHOWN),
        outcome.status.value,
        counted(outcome.ran, "receiver"),
        outcome.failed,
        delivery.secret_index,
        milliseconds,
        extra=facts(
            delivery=delivery.id,
            type=outcome.event.type,
            account=outcome.event.account_id,
            outcome=outcome.status.value,
            ms=milliseconds,
        ),
    )


def _log_rejection(rejection: Rejected, started: float) -> None:
    milliseconds = (time.perf_counter() - started) * 1000
    log.warning(
        "Delivery %s rejected: %s (%s%s), %.1f ms",
        rejection.delivery_id or "-",
        rejection.reason.value,
        rejection.reason.advice,
        _detail(rejection),
        milliseconds,
        extra=facts(delivery=rejection.delivery_id, outcome="rejected", reason=rejection.reason.value, ms=milliseconds),
    )


def _detail(rejection: Rejected) -> str:
    """What the log adds about this request."""
    if rejection.reason is Reason.BODY_ENCODED:
        encoding = _headers_of(_incoming()).get("content-encoding", "")
        return f"; Content-Encoding: {shown(ascii_of(encoding[:_SHOWN]), _SHOWN)}"
    if rejection.reason is Reason.BODY_UNREADABLE:
        return f"; {type(_cause(rejection.__cause__)).__name__}"
    return ""


def _canned(
    code: int, status: str, message: str | None = None, retry_after: float | None = None
) -> Callable[[], Response]:
    """Make a function that returns the same answer each time."""
    content: dict[str, str] = {"status": status} if message is None else {"status": status, "message": message}
    body = json.dumps(content).encode()
    headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
    return lambda: Response(body, code, headers, content_type="application/json")


_UNVERIFIED = _canned(
    401,
    "rejected",
    "This request couldn't be verified as one of Whop's. The receiving app's log says why.",
)
_ANSWERS = {reason: _UNVERIFIED for reason in Reason if reason.status == _UNVERIFIED().status_code} | {
    Reason.BODY_TOO_LARGE: _canned(413, "rejected", "The body is larger than this app reads."),
    Reason.BODY_EATEN: _canned(
        400, "rejected", "Nothing was left of the body to verify: a hook of this app had read it."
    ),
    Reason.BODY_INCOMPLETE: _canned(400, "rejected", "The body is shorter than its Content-Length. Send it again."),
    Reason.BODY_UNREADABLE: _canned(400, "rejected", "The body couldn't be read to its end. Send it again."),
    Reason.NOT_A_JSON_OBJECT: _canned(400, "rejected", "The body isn't a JSON object."),
    Reason.NESTED_TOO_DEEPLY: _canned(400, "rejected", "The JSON of the body is nested too deeply to be read."),
    Reason.NUMBER_TOO_LONG: _canned(400, "rejected", "The JSON of the body has a number of too many digits."),
    Reason.FOREIGN_ACCOUNT: _canned(403, "rejected", "This app doesn't take events of that account."),
}
_STORE_UNAVAILABLE = _canned(503, "unavailable", "This app can't take deliveries now. Send it again.", _RETRY_STORE)
_FAULT = _canned(500, "failed", "This app failed. Send the delivery again; its log says why.")
_OUTCOMES = {status: _canned(200, status.value) for status in Status if status.owned} | {
    Status.RUNNING: _canned(409, "running", "This delivery is being processed. Send it again.", _RETRY_RUNNING),
    Status.FAILED: _canned(
        500, "failed", "A receiver failed. Send the delivery again: only the unfinished receivers will run."
    ),
}


def _answer(outcome: Outcome, afterwards: Callable[[], None] | None) -> Response:
    if outcome.status is Status.RETRY_LATER:
        return _canned(
            503, "retry_later", "A receiver asked for this delivery later. Send it again.", outcome.retry_after
        )()
    if outcome.answer is not None and outcome.status.owned:
        response = Response(outcome.answer, 200, content_type="application/json")
    else:
        response = _OUTCOMES[outcome.status]()
    if afterwards is not None:
        response.call_on_close(afterwards)
    return response
