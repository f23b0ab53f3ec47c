"""Sends what ``flask whop trigger`` and ``listen`` have signed over HTTP."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from flask_whop.engine.posting import Post

if TYPE_CHECKING:
    from flask_whop.signature import SignedRequest

_TIMEOUT: Final = 30


class NoAnswerInTime(ConnectionError):
    """The server has the request, and takes too long."""


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
