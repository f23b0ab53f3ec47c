"""However many types a sender makes up, the metrics have no more series; under coverage this takes minutes."""

from __future__ import annotations

import json
import time

from flask_whop.engine.installation import Installation
from flask_whop.signature import Delivery
from tests.services import only_in_the_gate
from tests.test_prometheus import Shop


def test_a_hundred_thousand_of_them_add_none_either(tmp_path):
    only_in_the_gate("sends 100,000 deliveries")
    shop = Shop(tmp_path, WHOP_STORE="memory://")
    shop.whop.on("*", name="books")(lambda app, event: None)
    engine = Installation.of(shop.app).engine

    def process(number):
        body = {"id": f"msg_{number}", "type": f"made_{number}.up", "data": {"id": "obj_1"}}
        engine.process(Delivery(f"msg_{number}", int(time.time()), json.dumps(body).encode(), 0))

    with shop.app.app_context():
        process(0)
        before = shop.scrape()
        for number in range(1, 100_000):
            process(number)
    found = shop.scrape()
    assert found.keys() == before.keys()
    assert found["whop_deliveries_total", ("outcome", "processed"), ("type", "unknown")] == 100_000
    assert found["whop_receiver_calls_total", ("outcome", "done"), ("receiver", "books")] == 100_000
