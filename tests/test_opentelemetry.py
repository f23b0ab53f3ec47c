"""Tracing: what OpenTelemetry gets to see of deliveries and receivers."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from celery import Celery, Task
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from flask_whop import GiveUp, RetryLater, WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker, run_due
from flask_whop.errors import SetupError, StoreUnavailable
from flask_whop.opentelemetry import WhopTracing
from tests import ROOT
from tests.shop import OTHER_SECRET, SECRET, Sender, new_app

PAID = "payment.succeeded"
PAYLOAD = "ada-lovelace"


class Shop:
    def __init__(self, folder, store=None, **config):
        self.app = new_app(folder, **{"WHOP_STORE": "sqlite:///whop.sqlite3", **config})
        self.whop = WhopWebhooks(self.app, store=store)
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        WhopTracing(self.app, self.provider)
        self.tracer = self.provider.get_tracer("shop")

    def deliver(self, delivery_id="msg_1", event_type=PAID, **how):
        return Sender(self.app).deliver(event_type, id=delivery_id, **how)

    def work(self):
        with self.app.app_context():
            Worker(self.app).run(once=True)

    @property
    def spans(self):
        """Those that have ended, in the order of their starts."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)

    @property
    def names(self):
        return [span.name for span in self.spans]

    def span(self, name):
        (found,) = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def outcome(span):
    return span.attributes["messaging.whop.outcome"]


def is_child(span, parent):
    return (span.parent.span_id, span.context.trace_id) == (parent.context.span_id, parent.context.trace_id)


def linked(span):
    """The contexts that a span links to."""
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def context_of(span):
    return (span.context.trace_id, span.context.span_id)


# What there is.


def test_a_delivery_and_the_calls_in_it_have_the_spans_of_the_conventions(shop):
    shop.whop.on(PAID, name="shop:fulfil")(lambda app, event: None)
    shop.whop.on(PAID, name="shop:mail")(lambda app, event: None)
    shop.deliver()
    delivery, *calls = shop.spans
    common = {
        "messaging.system": "whop",
        "messaging.operation.type": "process",
        "messaging.destination.name": PAID,
        "messaging.message.id": "msg_1",
    }
    assert (delivery.name, delivery.kind, delivery.parent) == (f"process {PAID}", SpanKind.CONSUMER, None)
    assert delivery.attributes == {
        **common,
        "messaging.operation.name": "process",
        "messaging.whop.outcome": "processed",
    }
    assert [(call.name, call.kind) for call in calls] == [
        ("call shop:fulfil", SpanKind.CONSUMER),
        ("call shop:mail", SpanKind.CONSUMER),
    ]
    assert all(is_child(call, delivery) for call in calls)
    assert calls[0].attributes == {
        **common,
        "messaging.operation.name": "call",
        "messaging.destination.subscription.name": "shop:fulfil",
        "messaging.whop.outcome": "done",
    }
    assert {span.status.status_code for span in shop.spans} == {StatusCode.UNSET}
    assert delivery.instrumentation_scope.name == "flask_whop"
    assert delivery.instrumentation_scope.schema_url.startswith("https://opentelemetry.io/schemas/")


def test_the_span_of_flasks_instrumentation_is_the_parent(shop):
    shop.whop.on(PAID, name="fulfil")(lambda app, event: None)
    FlaskInstrumentor.instrument_app(shop.app, tracer_provider=shop.provider)
    shop.deliver()
    request, delivery, call = shop.spans
    assert (request.kind, request.name) == (SpanKind.SERVER, "POST /webhooks/whop")
    assert is_child(delivery, request)
    assert is_child(call, delivery)


@pytest.mark.parametrize("is_async", [False, True])
def test_spans_that_a_receiver_makes_are_children_of_its_call(shop, is_async):
    def charge(app, event):
        with shop.tracer.start_as_current_span("charge"):
            pass

    async def charge_later(app, event):
        await asyncio.sleep(0)
        charge(app, event)

    shop.whop.on(PAID, name="fulfil")(charge_later if is_async else charge)
    shop.deliver()
    assert shop.names == [f"process {PAID}", "call fulfil", "charge"]
    assert is_child(shop.span("charge"), shop.span("call fulfil"))


def test_nothing_is_current_any_more_after_a_delivery(shop):
    def fulfil(app, event):
        raise SystemExit

    shop.whop.on(PAID)(fulfil)
    shop.deliver()
    assert not trace.get_current_span().get_span_context().is_valid


# How they end.


@pytest.mark.parametrize(
    ("error", "kind"), [(ValueError(PAYLOAD), "ValueError"), (GiveUp(PAYLOAD), "flask_whop.errors.GiveUp")]
)
def test_a_receiver_that_fails_has_the_type_of_its_error_and_no_text(shop, error, kind):
    @shop.whop.on(PAID, name="fulfil")
    def fulfil(app, event):
        raise error

    shop.whop.on(PAID, name="mail")(lambda app, event: None)
    shop.deliver()
    for name in (f"process {PAID}", "call fulfil"):
        span = shop.span(name)
        assert (span.attributes["error.type"], span.status.status_code) == (kind, StatusCode.ERROR)
        assert not span.status.description
        assert not span.events
    assert outcome(shop.span("call mail")) == "done"
    assert "error.type" not in shop.span("call mail").attributes


def test_to_be_called_later_is_no_error(shop):
    @shop.whop.on(PAID, name="fulfil")
    def fulfil(app, event):
        raise RetryLater(5)

    shop.deliver()
    assert [outcome(span) for span in shop.spans] == ["retry_later", "retry_later"]
    assert not any("error.type" in span.attributes for span in shop.spans)


def test_a_receiver_that_skips_an_event_is_not_called_and_has_no_span(shop):
    shop.whop.on(PAID, name="gold", when=lambda event: False)(lambda app, event: None)
    shop.whop.on(PAID, name="once", once_per=lambda event: "same")(lambda app, event: None)
    shop.deliver("msg_1")
    shop.deliver("msg_2")
    assert shop.names == [f"process {PAID}", "call once", f"process {PAID}"]


def test_a_condition_that_raises_is_a_call_that_failed(shop):
    shop.whop.on(PAID, name="gold", when=lambda event: event.nothing_of_the_kind)(lambda app, event: None)
    shop.deliver()
    assert shop.names == [f"process {PAID}", "call gold"]
    assert {span.attributes["error.type"] for span in shop.spans} == {"AttributeError"}


def test_a_duplicate_calls_nobody(shop):
    shop.whop.on(PAID, name="fulfil")(lambda app, event: None)
    shop.deliver()
    shop.deliver()
    assert shop.names == [f"process {PAID}", "call fulfil", f"process {PAID}"]
    assert outcome(shop.spans[-1]) == "duplicate"


def test_what_is_no_delivery_has_no_span(shop):
    Sender(shop.app, OTHER_SECRET).deliver(PAID)
    assert shop.names == []


def test_a_store_that_cannot_be_reached_is_an_error(shop, monkeypatch):
    def fail(*_):
        raise StoreUnavailable(PAYLOAD)

    monkeypatch.setattr(Installation.of(shop.app).store, "claim", fail)
    shop.deliver()
    (span,) = shop.spans
    assert span.attributes["error.type"] == "flask_whop.errors.StoreUnavailable"
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())


class Broken(SpanProcessor):
    """A span processor with a fault."""

    def __init__(self, where):
        self.where = where

    def on_start(self, span, parent_context=None):
        if self.where == "start":
            raise ValueError("no room")

    def on_end(self, span):
        if self.where == "end":
            raise ValueError("no room")


@pytest.mark.parametrize("where", ["start", "end"])
def test_a_fault_of_the_tracing_costs_no_delivery(shop, caplog, where):
    got = []
    shop.whop.on(PAID)(lambda app, event: got.append(event.id))
    shop.provider.add_span_processor(Broken(where))
    assert shop.deliver().json["status"] == "processed"
    assert got == ["msg_1"]
    assert "A span couldn't be recorded" in caplog.text
    assert not trace.get_current_span().get_span_context().is_valid


# Later, and elsewhere.


def test_what_a_worker_runs_links_to_the_request_that_brought_it(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")
    shop.whop.on(PAID, name="fulfil")(lambda app, event: None)
    FlaskInstrumentor.instrument_app(shop.app, tracer_provider=shop.provider)
    shop.deliver()
    shop.work()
    request, accepted, delivery, call = shop.spans
    assert is_child(accepted, request)
    assert (accepted.name, accepted.kind, outcome(accepted)) == (f"accept {PAID}", SpanKind.PRODUCER, "accepted")
    assert accepted.attributes["messaging.operation.type"] == "send"
    assert (delivery.name, delivery.parent, linked(delivery)) == (f"process {PAID}", None, [context_of(accepted)])
    assert is_child(call, delivery)


def test_each_retry_is_a_trace_of_its_own_that_links_to_the_request(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker", WHOP_RETRY_FIRST=0.001)
    tries = []

    @shop.whop.on(PAID, name="fulfil")
    def fulfil(app, event):
        tries.append(event.id)
        if len(tries) < 3:
            raise ValueError

    shop.deliver()
    store = Installation.of(shop.app).store
    now = store.clock()
    for hours in range(3):
        store.clock = lambda hours=hours: now + hours * 3600
        run_due(shop.app)
    accepted, *runs = [span for span in shop.spans if not span.name.startswith("call")]
    assert [outcome(run) for run in runs] == ["retry_later", "retry_later", "processed"]
    assert [linked(run) for run in runs] == [[context_of(accepted)]] * 3
    assert len({run.context.trace_id for run in runs}) == 3


def test_what_runs_after_the_response_links_to_it(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="after_response")
    shop.whop.on(PAID, name="fulfil")(lambda app, event: None)
    shop.deliver()
    accepted, delivery, call = shop.spans
    assert (accepted.name, delivery.name) == (f"accept {PAID}", f"process {PAID}")
    assert linked(delivery) == [context_of(accepted)]
    assert is_child(call, delivery)


def celery_of(app, broker, **conf):
    class FlaskTask(Task):
        def __call__(self, *arguments, **named):
            with app.app_context():
                return self.run(*arguments, **named)

    made = Celery(app.name, task_cls=FlaskTask, broker=broker, set_as_current=False)
    made.conf.update(conf)
    app.extensions["celery"] = made
    return made


def test_a_task_of_celery_links_to_the_request_that_brought_it(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="celery")
    shop.whop.on(PAID, name="fulfil")(lambda app, event: None)
    celery = celery_of(shop.app, "memory://", task_always_eager=True)
    shop.deliver()
    celery.close()
    accepted, delivery, call = shop.spans
    assert linked(delivery) == [context_of(accepted)]
    assert is_child(call, delivery)


def test_a_replay_links_to_the_first_arrival_however_it_came(shop):
    broken = True

    @shop.whop.on(PAID, name="fulfil")
    def fulfil(app, event):
        if broken:
            raise ValueError

    shop.deliver()
    first = shop.span(f"process {PAID}")
    shop.deliver()
    broken = False
    with shop.app.app_context(), shop.tracer.start_as_current_span("by hand"):
        shop.whop.deliveries.replay("msg_1")
    replayed = shop.spans[-2]
    assert is_child(replayed, shop.span("by hand"))
    assert (outcome(replayed), linked(replayed)) == ("processed", [context_of(first)])


def test_a_delivery_that_came_while_nobody_traced_is_traced_without_a_link(tmp_path):
    untraced = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3", WHOP_DISPATCH="worker")
    WhopWebhooks(untraced)
    Sender(untraced).deliver(PAID)
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")
    run_due(shop.app)
    assert [(span.name, span.links) for span in shop.spans] == [(f"process {PAID}", ())]


# What they don't show.


def test_no_span_shows_a_payload_a_secret_or_a_signature(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")

    @shop.whop.on("*", name="fulfil")
    def fulfil(app, event):
        raise ValueError(PAYLOAD, SECRET)

    shop.deliver("msg_1", data={"id": PAYLOAD, "email": PAYLOAD}, company_id=f"biz_{PAYLOAD}")
    shop.deliver("msg_2", f"made.up.{PAYLOAD}")
    shop.work()
    assert len(shop.spans) == 6
    told = json.dumps([json.loads(span.to_json()) for span in shop.spans])
    assert '"accept unknown"' in told
    assert PAYLOAD not in told
    assert SECRET not in told
    assert "v1," not in told


def test_the_guide_names_each_span_and_each_attribute(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")

    @shop.whop.on(PAID, name="shop:fulfil")
    def fulfil(app, event):
        raise ValueError

    shop.deliver()
    shop.work()
    guide = (ROOT / "docs/guides/tracing.md").read_text()
    first_cells = re.findall(r"^\| `([^`]+)` \|", guide, re.MULTILINE)
    assert sorted(first_cells) == sorted({*shop.names, *(name for span in shop.spans for name in span.attributes)})


# Setting it up.


def test_an_app_is_traced_once(shop):
    with pytest.raises(SetupError, match="traced already"):
        WhopTracing(shop.app, shop.provider)


def test_an_app_without_webhooks_is_not_traced(tmp_path):
    with pytest.raises(SetupError, match="isn't set up for this app"):
        WhopTracing(new_app(tmp_path))


def test_without_a_provider_nothing_is_traced_and_all_works(tmp_path):
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3")
    whop = WhopWebhooks(app)
    WhopTracing(app)
    whop.on(PAID)(lambda app, event: None)
    assert Sender(app).deliver(PAID).json["status"] == "processed"
