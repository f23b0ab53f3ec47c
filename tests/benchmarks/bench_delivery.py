"""What one delivery costs, side by side in one run, each through a Flask app's own WSGI stack.

    python -m pytest -c tests/benchmarks/pytest.ini tests/benchmarks/bench_delivery.py

Four apps get the same signed requests, each with an id of its own, made beforehand:
a bare Flask view that answers; the view by hand of ``by_hand.py``, which remembers ids in
a dictionary; this extension in memory with one receiver; and with ten. ``stores.py``
compares the other stores.
"""

from __future__ import annotations

import pytest

from tests.benchmarks import by_hand
from tests.benchmarks.common import app_with, deliver, environs

ROUNDS, DELIVERIES = 30, 200
APPS = {
    "bare view": by_hand.bare,
    "by hand": lambda: by_hand.view(by_hand.Memory()),
    "flask-whop, 1 receiver": lambda: app_with("memory://"),
    "flask-whop, 10 receivers": lambda: app_with("memory://", receivers=10),
}


def deliver_all(app, made):
    for environ in made:
        deliver(app, environ)


@pytest.mark.parametrize("make_app", APPS.values(), ids=APPS.keys())
def bench_delivery(benchmark, make_app):
    app = make_app()
    benchmark.extra_info["deliveries a round"] = DELIVERIES
    setup = lambda: ((app, environs(DELIVERIES)), {})  # noqa: E731
    benchmark.pedantic(deliver_all, setup=setup, rounds=ROUNDS, warmup_rounds=3)
