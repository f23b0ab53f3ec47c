"""Delivers what we have signed ourselves, and reads and times the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flask_whop.engine.installation import Installation
    from flask_whop.signature import SignedRequest


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


def in_process(installation: Installation) -> Post:
    """Deliver to the app in this process, through its own WSGI stack."""

    def post(request: SignedRequest) -> tuple[int, bytes]:
        response = installation.post(request)
        return response.status_code, response.get_data()

    return post
