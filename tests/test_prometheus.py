"""Metrics: what Prometheus scrapes of an app."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_flask_exporter import PrometheusMetrics

from flask_whop import GiveUp, RetryLater, WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import StoreUnavailable
from flask_whop.prometheus import WhopMetrics
from tests import ROOT
from tests.shop import OTHER_SECRET, SECRET, Sender, new_app

PAID = "payment.succeeded"


class Shop:
    def __init__(self, folder, **config):
        self.app = new_app(folder, **{"WHOP_STORE": "sqlite:///whop.sqlite3", **config})
        self.whop = WhopWebhooks(self.app)
        self.registry = CollectorRegistry()
        WhopMetrics(self.app, self.registry)

    def deliver(self, delivery_id, event_type=PAID, **envelope):
        return Sender(self.app).deliver(event_type, id=delivery_id, **envelope)

    def scrape(self):
        """The samples by name and labels, read as Prometheus reads them."""
        text = generate_latest(self.registry).decode()
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_deliveries_answers_and_calls_are_counted(shop):
    shop.whop.on(PAID, name="fulfil")(lambda app, event: None)
    shop.deliver("msg_1")
    shop.deliver("msg_1")
    shop.deliver("msg_2", "refund.created")
    Sender(shop.app, OTHER_SECRET).deliver(PAID)
    found = shop.scrape()
    assert found["whop_deliveries_total", ("outcome", "processed"), ("type", PAID)] == 1
    assert found["whop_deliveries_total", ("outcome", "duplicated"), ("type", PAID)] == 1
    assert found["whop_deliveries_total", ("outcome", "processed"), ("type", "refund.created")] == 1
    answers = {labels[0][1]: value for (name, *labels), value in found.items() if name == "whop_answers_total"}
    assert answers == {"processed": 1, "duplicate": 1, "unhandled": 1, "rejected": 1}
    assert found["whop_answer_seconds_count",] == 4
    assert found["whop_rejections_total", ("reason", "signature_mismatch")] == 1
    assert found["whop_receiver_calls_total", ("outcome", "done"), ("receiver", "fulfil")] == 1
    assert found["whop_receiver_seconds_count", ("receiver", "fulfil")] == 1
    assert found["whop_done_seconds_count",] == 2


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("no"), "failed"), (GiveUp("no"), "given_up"), (RetryLater(5), "retry_later")]
)
def test_calls_are_told_apart_by_how_they_ended(shop, error, outcome):
    @shop.whop.on(PAID, name="mail")
    def mail(app, event):
        raise error

    shop.deliver("msg_1")
    assert shop.scrape()["whop_receiver_calls_total", ("outcome", outcome), ("receiver", "mail")] == 1


def test_what_a_receiver_skips_is_no_call_that_failed(shop):
    shop.whop.on(PAID, name="gold", when=lambda event: False)(lambda app, event: None)
    shop.deliver("msg_1")
    assert shop.scrape()["whop_receiver_calls_total", ("outcome", "skipped"), ("receiver", "gold")] == 1


def test_the_store_is_asked_at_each_scrape(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker", WHOP_RETRY_FOR=0.001)

    @shop.whop.on(PAID, name="mail")
    def mail(app, event):
        raise ValueError("no")

    shop.deliver("msg_1")
    found = shop.scrape()
    assert found["whop_unfinished", ("state", "due")] == 1
    assert found["whop_oldest_unfinished_seconds",] > 0
    assert found["whop_workers",] == 0
    assert found["whop_deliveries_total", ("outcome", "accepted"), ("type", PAID)] == 1
    run_due(shop.app)
    found = shop.scrape()
    assert (found["whop_unfinished", ("state", "due")], found["whop_unfinished", ("state", "dead")]) == (0, 1)
    assert found["whop_deliveries_total", ("outcome", "dead_lettered"), ("type", PAID)] == 1


def test_a_store_that_cannot_be_reached_costs_no_other_metric(shop, monkeypatch):
    shop.deliver("msg_1")

    def fail(*_):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(type(Installation.of(shop.app).store), "stats", fail)
    found = shop.scrape()
    assert found["whop_deliveries_total", ("outcome", "processed"), ("type", PAID)] == 1
    assert not any(name == "whop_unfinished" for name, *_ in found)


def test_types_that_a_sender_makes_up_add_no_series(shop):
    shop.deliver("msg_0", "made.up")
    before = len(shop.scrape())
    for number in range(1, 300):
        shop.deliver(f"msg_{number}", f"made.up_{number}")
    found = shop.scrape()
    assert len(found) == before
    assert found["whop_deliveries_total", ("outcome", "processed"), ("type", "unknown")] == 300


def test_prometheus_flask_exporter_exposes_them_beside_its_own(tmp_path):
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3")
    exporter = PrometheusMetrics(app, registry=CollectorRegistry())
    WhopWebhooks(app)
    WhopMetrics(app, exporter.registry)
    Sender(app).deliver(PAID)
    text = app.test_client().get("/metrics").text
    assert 'whop_answers_total{outcome="unhandled"} 1.0' in text
    assert "flask_http_request_total" in text


PROCESS = """
import sys
from flask import Flask
from prometheus_client import CollectorRegistry
from flask_whop import WhopWebhooks
from flask_whop.prometheus import WhopMetrics
from tests.shop import Sender, new_app
app = new_app(sys.argv[1], WHOP_STORE="sqlite:///whop.sqlite3")
WhopWebhooks(app)
WhopMetrics(app)
Sender(app).deliver("payment.succeeded", id=sys.argv[2])
"""
SCRAPE = """
import sys
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from flask_whop import WhopWebhooks
from flask_whop.prometheus import StoreCollector
from tests.shop import new_app
app = new_app(sys.argv[1], WHOP_STORE="sqlite:///whop.sqlite3")
WhopWebhooks(app)
registry = CollectorRegistry()
MultiProcessCollector(registry)
registry.register(StoreCollector(app))
print(generate_latest(registry).decode())
"""


def test_several_processes_add_up(tmp_path):
    (tmp_path / "metrics").mkdir()
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "WHOP_WEBHOOK_SECRET": SECRET,
        "PYTHONPATH": str(ROOT),
    }

    def run(source, *arguments):
        command = [sys.executable, "-c", source, str(tmp_path), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    for number in range(3):
        run(PROCESS, f"msg_{number}")
    text = run(SCRAPE)
    assert 'whop_answers_total{outcome="unhandled"} 3.0' in text
    assert 'whop_unfinished{state="due"} 0.0' in text


def names_in(text):
    """The metrics that a text asks for."""
    return set(re.findall(r"whop_[a-z_]+", text))


@pytest.mark.parametrize("file", ["grafana.json", "alerts.yml"])
def test_the_dashboard_and_the_alerts_ask_for_what_there_is(shop, file):
    @shop.whop.on(PAID)
    def fulfil(app, event):
        raise ValueError("no")

    shop.deliver("msg_1")
    shop.deliver("msg_2", "refund.created")
    Sender(shop.app, OTHER_SECRET).deliver(PAID)
    there = {name for name, *_ in shop.scrape()}
    asked = names_in((ROOT / "docs/monitoring" / file).read_text())
    assert asked
    assert asked <= there


def test_the_dashboard_is_one_that_grafana_can_read():
    dashboard = json.loads((ROOT / "docs/monitoring/grafana.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) == 12
    assert all(panel["targets"] and panel["title"] for panel in dashboard["panels"])
