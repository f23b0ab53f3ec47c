"""Sends what ``flask whop trigger`` has signed: by HTTP, or to the app in this process."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from flask import Flask

_SECONDS: Final = 30


class Parcel(NamedTuple):
    """A signed delivery."""

    delivery_id: str
    body: bytes
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """What came back for it."""

    delivery_id: str
    code: int
    """The HTTP status."""
    status: str
    """The ``status`` of the JSON answer; empty if it was none of ours."""
    milliseconds: float


Send = Callable[[Parcel], Answer]


def over_http(url: str, host: str | None = None) -> Send:
    """Deliver to the server at ``url``, which is asked for ``host`` if that is another one.

    Raises :class:`ConnectionError` with a sentence if it cannot be reached.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(
            f"--url has to be an address such as http://127.0.0.1:5000/webhooks/whop; it is {url!r}."
        )
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    path = parts.path or "/"

    def send(parcel: Parcel) -> Answer:
        connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
        started = time.perf_counter()
        try:
            connection.request("POST", path, parcel.body, {**parcel.headers, **({"host": host} if host else {})})
            response = connection.getresponse()
            return _answer(parcel, response.status, response.read(), started)
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(
                f"Nothing answers at {url} ({error or type(error).__name__}). Start the app there (flask run), give"
                " another --url, or say --in-process."
            ) from None
        finally:
            connection.close()

    return send


def in_process(app: Flask, address: str) -> Send:
    """Deliver to ``app`` through its own WSGI stack."""

    def send(parcel: Parcel) -> Answer:
        started = time.perf_counter()
        response = app.test_client().post(address, buffered=True, data=parcel.body, headers=dict(parcel.headers))
        return _answer(parcel, response.status_code, response.get_data(), started)

    return send


def _answer(parcel: Parcel, code: int, body: bytes, started: float) -> Answer:
    milliseconds = (time.perf_counter() - started) * 1000
    try:
        status = json.loads(body)["status"]
    except (ValueError, LookupError, TypeError):
        status = ""
    return Answer(parcel.delivery_id, code, str(status), round(milliseconds, 1))
