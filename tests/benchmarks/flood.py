"""What the signature doctor costs under a flood of forged requests.

    python tests/benchmarks/flood.py [requests]

One app gets the same forged requests through its WSGI stack, with the doctor on and with
it off, in turns of five hundred, so that whatever else the machine does falls on both. The
time includes what is done after the answers; the second figure is the processor time of the
whole process. Logs are formatted, and thrown away.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from io import StringIO
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask
from werkzeug.test import EnvironBuilder

from flask_whop import WhopWebhooks
from flask_whop.doctor.watch import DOCTOR
from flask_whop.testing import signed

if TYPE_CHECKING:
    from collections.abc import Callable

TURN = 500


class Cost(NamedTuple):
    """What some requests took."""

    seconds: float
    processor: float


def app_under_attack() -> Flask:
    """An app with two secrets."""
    app = Flask("flood")
    app.config.update(WHOP_WEBHOOK_SECRET=["ws_" + token_hex(32), "ws_" + token_hex(32)], WHOP_STORE="memory://")
    WhopWebhooks(app)
    return app


def flood(app: Flask, body: bytes, *, on: bool) -> Cost:
    """Deliver one turn of forgeries."""
    DOCTOR._rests_until = -math.inf if on else math.inf
    environs = [
        EnvironBuilder("/webhooks/whop", method="POST", **signed(body, "ws_" + token_hex(32))).get_environ()
        for _ in range(TURN)
    ]
    statuses: list[str] = []
    start: Callable[..., None] = lambda status, headers, exc_info=None: statuses.append(status)  # noqa: E731
    started, worked = time.perf_counter(), time.process_time()
    for environ in environs:
        answer = app(environ, start)
        b"".join(answer)
        answer.close()
    cost = Cost(time.perf_counter() - started, time.process_time() - worked)
    assert set(statuses) == {"401 UNAUTHORIZED"}
    return cost


def main() -> None:
    """Measure floods of small and of large bodies, and print a line for each."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    handler = logging.StreamHandler(StringIO())
    logging.getLogger("flask_whop").addHandler(handler)
    app = app_under_attack()
    print(f"{'body':>10}{'off':>12}{'on':>12}{'ratio':>8}{'processor':>12}   ({requests} requests each)")
    for size in (0, 4_000, 50_000, 250_000):
        body = json.dumps(
            {"id": "msg_1", "type": "payment.succeeded", "data": {"text": ["é x"] * (size // 10)}}
        ).encode()
        off: list[Cost] = []
        on: list[Cost] = []
        for turn in range(requests // TURN):
            for is_on, costs in ((False, off), (True, on))[:: -1 if turn % 2 else 1]:
                costs.append(flood(app, body, on=is_on))
            handler.setStream(StringIO())
        seconds = [sum(cost.seconds for cost in costs) for costs in (off, on)]
        worked = [sum(cost.processor for cost in costs) for costs in (off, on)]
        print(
            f"{len(body):10}{seconds[0]:10.2f} s{seconds[1]:10.2f} s{seconds[1] / seconds[0]:8.2f}"
            f"{worked[1] / worked[0]:12.2f}"
        )


if __name__ == "__main__":
    main()
