"""Sends what ``flask whop trigger`` has signed: over HTTP, or to the app in this process."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from flask_whop.engine.installation import Installation
    from flask_whop.signature import SignedRequest

_TIMEOUT: Final = 30


class NoAnswerInTime(ConnectionError):
    """The server has the request, and takes too long."""


class Answer(NamedTuple):
    """The answer to one delivery."""

    delivery_id: str
    code: int
    status: str
    """The word in the answer; empty if the answer isn't from flask_whop."""
    milliseconds: float


Post = Callable[["SignedRequest"], tuple[int, bytes]]
"""Delivers a request, and returns the HTTP status and the body of the answer."""


def send(request: SignedRequest, post: Post) -> Answer:
    """Deliver a request and time the answer."""
    started = time.perf_counter()
    code, body = post(request)
    milliseconds = (time.perf_counter() - started) * 1000
    try:
        status = json.loads(body)["status"]
    except (ValueError, LookupError, TypeError):
        status = ""
    return Answer(request["headers"]["webhook-id"], code, str(status), round(milliseconds, 1))


def over_http(url: str, host: str | None = None) -> Post:
    """Deliver to the server at ``url``, with ``host`` as the ``Host`` header if it is given.

    The result raises :class:`ConnectionError`, with advice, if the server can't be reached.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(f"--url must be an address such as http://127.0.0.1:5000/webhooks/whop; it is {url!r}.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection

    def post(request: SignedRequest) -> tuple[int, bytes]:
        connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        headers = request["headers"] | ({"host": host} if host else {})
        try:
            connection.request("POST", target, request["data"], headers)
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            raise NoAnswerInTime(f"{url} gave no answer within {_TIMEOUT} s.") from None
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(
                f"Nothing answers at {url} ({error or type(error).__name__}). Start the app there (flask run),"
                " or pass another --url."
            ) from None
        finally:
            connection.close()

    return post


def in_process(installation: Installation) -> Post:
    """Deliver to the app in this process, through its own WSGI stack."""

    def post(request: SignedRequest) -> tuple[int, bytes]:
        response = installation.post(request)
        return response.status_code, response.get_data()

    return post
