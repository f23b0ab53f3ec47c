"""The time of the answer where Celery's broker works, refuses, or is silent, beside that without Celery.

    python -m tests.benchmarks.brokers [deliveries]

Each app gets the same signed requests through its WSGI stack, in turns of ten. What runs
after the answer is a column of its own: it keeps a synchronous worker, not the sender.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from uuid import uuid4

from celery import Celery
from flask import Flask
from redis import Redis

from flask_whop import WhopWebhooks
from flask_whop.testing import sample, signed
from tests.benchmarks.common import SECRET
from tests.services import SERVICES, Silent

TURN = 10


def app_with(folder: Path, broker: str | None, queue: str) -> Flask:
    """An app that accepts for a worker, or for Celery on ``broker``."""
    app = Flask(f"shop_{uuid4().hex[:8]}", instance_path=str(folder))
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_DISPATCH="worker" if broker is None else "celery")
    app.config["WHOP_CELERY_QUEUE"] = queue
    WhopWebhooks(app)
    app.extensions["celery"] = Celery(app.name, broker=broker, set_as_current=False)
    return app


def deliver(app: Flask) -> tuple[float, float]:
    """Deliver once; the milliseconds until the answer, and those after it."""
    request = signed(sample("payment.succeeded") | {"id": f"msg_{uuid4().hex}"}, SECRET)
    started = time.perf_counter()
    response = app.test_client().post("/webhooks/whop", **request)
    answered = time.perf_counter()
    assert response.status_code == 200, response.data  # accepted
    response.close()
    return (answered - started) * 1000, (time.perf_counter() - answered) * 1000


def main(deliveries: int) -> None:
    """Deliver in turns, and print the medians and the worst."""
    logging.getLogger("flask_whop").setLevel(logging.CRITICAL)
    silent, queue = Silent(), f"whop-benchmark-{uuid4().hex}"
    brokers = {
        "no Celery": None,
        "Redis": SERVICES["Redis"][1],
        "refuses": "redis://127.0.0.1:1/0",
        "is silent": silent.url,
    }
    with tempfile.TemporaryDirectory() as folder:
        apps = {name: app_with(Path(folder), broker, queue) for name, broker in brokers.items()}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
        for _ in range(max(1, deliveries // TURN)):
            for name, app in apps.items():
                times[name] += [deliver(app) for _ in range(TURN)]
    print(f"{'broker':12}{'answer, median ms':>20}{'worst':>10}{'afterwards, median ms':>24}{'worst':>10}")
    for name, measured in times.items():
        answers, after = zip(*measured, strict=True)
        print(f"{name:12}{median(answers):20.2f}{max(answers):10.2f}{median(after):24.2f}{max(after):10.2f}")
    Redis.from_url(SERVICES["Redis"][1]).delete(queue)
    silent.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
