"""Subscribing: Blinker's own ways, and whop.on, with a word at once when something cannot work."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from functools import partial

import pytest
from flask import Flask, current_app

import flask_whop
from flask_whop import WhopWebhooks, signals
from flask_whop.errors import MissingExtraError, ReceiverError, SetupError, UnknownEventError
from flask_whop.events import Event, PaymentFailed, PaymentSucceeded, UnknownEvent
from flask_whop.signals import (
    delivery_rejected,
    payment_failed,
    payment_succeeded,
    receiver_failed,
    refund_created,
    unknown_event,
)
from flask_whop.signals.app_signal import AppSignal
from flask_whop.signals.kinds import EventSignal, LifecycleSignal
from flask_whop.testing import isolated_signals
from tests.shop import SECRET, Sender


def new_app(name="shop"):
    app = Flask(name)
    app.config["WHOP_WEBHOOK_SECRET"] = SECRET
    app.config["WHOP_STORE"] = "memory://"
    return app


def test_the_package_has_what_it_lists_and_signals_are_in_their_module_alone():
    assert {"WhopWebhooks", "GiveUp", "RetryLater", "FlaskWhopError", "ConfigError"} == set(flask_whop.__all__)
    assert {*flask_whop.__all__} <= {*dir(flask_whop)}
    assert [getattr(flask_whop, name).__name__ for name in flask_whop.__all__] == flask_whop.__all__
    for name in ("payment_succeeded", "payment_suceeded", "EVENT_SIGNALS"):
        with pytest.raises(AttributeError, match=name):
            getattr(flask_whop, name)


def test_connect_via_ties_a_receiver_to_one_app():
    seen = []
    one, two = new_app("one"), new_app("two")
    for app in (one, two):
        WhopWebhooks(app)

    @payment_succeeded.connect_via(one)
    def only_one(app, event):
        seen.append(app.name)

    for app in (one, two):
        Sender(app).deliver("payment.succeeded")
    assert seen == ["one"]


def test_hazard_the_proxy_of_the_app_stands_for_the_app(app, sender):
    seen = []
    with app.app_context():
        payment_succeeded.connect(lambda app, event: seen.append(event), sender=current_app)
    sender.deliver("payment.succeeded")
    assert len(seen) == 1


def test_connected_to_connects_for_the_time_of_a_block(sender):
    seen = []

    def receiver(app, event):
        seen.append(event)

    payment_succeeded.connect(lambda app, event: seen.append("always"))
    with (
        payment_succeeded.connected_to(receiver),
        payment_succeeded.connected_to(lambda app, event: seen.append("named"), name="other"),
    ):
        sender.deliver("payment.succeeded")
    sender.deliver("payment.succeeded")
    assert [type(one).__name__ if one not in {"always", "named"} else one for one in seen] == [
        "always",
        "PaymentSucceeded",
        "named",
        "always",
    ]


def test_a_disconnected_receiver_is_not_called(app, whop, sender):
    seen = []

    def receiver(app, event):
        seen.append(event)

    for connect in (payment_succeeded.connect, payment_succeeded.connect_via(app), whop.on("payment.succeeded")):
        connect(receiver)
        payment_succeeded.disconnect(receiver)
        sender.deliver("payment.succeeded")
    assert seen == []


def test_hazard_receivers_are_held_strongly_unless_asked_otherwise(sender):
    seen = []

    class Shop:
        def fulfil(self, app, event):
            seen.append("method")

    payment_succeeded.connect(lambda app, event: seen.append("lambda"))
    payment_succeeded.connect(partial(lambda app, event, what: seen.append(what), what="partial"), name="partial")
    payment_succeeded.connect(Shop().fulfil)
    payment_succeeded.connect(lambda app, event: seen.append("weak"), weak=True, name="weak")
    gc.collect()
    sender.deliver("payment.succeeded")
    assert seen == ["lambda", "partial", "method"]


@pytest.mark.parametrize("how", ["on", "connect_via", "pattern"])
def test_hazard_a_receiver_tied_to_an_app_goes_with_that_app(how):
    seen = []

    def create_app():
        app = new_app()
        whop = WhopWebhooks(app)
        connect = {
            "on": lambda: whop.on(PaymentSucceeded),
            "connect_via": lambda: payment_succeeded.connect_via(app),
            "pattern": lambda: whop.on("payment.*"),
        }[how]()

        @connect
        def fulfil(_app, event):
            seen.append((app.name, event))

        return app

    before = len(payment_succeeded.receivers)
    apps = [create_app() for _ in range(19)]
    Sender(apps[7]).deliver("payment.succeeded")
    assert len(seen) == 1

    gone = [weakref.ref(app) for app in apps]
    del apps
    seen.clear()
    gc.collect()
    assert [ref() for ref in gone] == [None] * 19
    assert len(payment_succeeded.receivers) == before


def test_a_receiver_connected_both_for_an_app_and_for_all_stays_when_the_app_goes():
    def receiver(app, event): ...

    app = new_app()
    payment_succeeded.connect(receiver)
    payment_succeeded.connect(receiver, sender=app)
    held = weakref.ref(receiver)
    del receiver, app
    gc.collect()
    assert held() is not None


def test_what_is_connected_or_disconnected_between_two_deliveries_counts_from_the_next_one(sender):
    seen = []

    def first(app, event):
        seen.append("first")

    def second(app, event):
        seen.append("second")

    payment_succeeded.connect(first)
    sender.deliver("payment.succeeded")
    payment_succeeded.connect(second)
    sender.deliver("payment.succeeded")
    payment_succeeded.disconnect(first)
    sender.deliver("payment.succeeded")
    with payment_succeeded.muted():
        sender.deliver("payment.succeeded")
    sender.deliver("payment.succeeded")
    assert seen == ["first", "first", "second", "second", "second"]


def test_a_receiver_that_is_held_weakly_goes_after_it_has_been_called(sender):
    seen = []

    def receiver(app, event):
        seen.append(event.id)

    payment_succeeded.connect(receiver, weak=True)
    sender.deliver("payment.succeeded")
    gone = weakref.ref(receiver)
    del receiver
    gc.collect()
    assert gone() is None
    sender.deliver("payment.succeeded")
    assert len(seen) == 1


def test_an_app_goes_with_its_receivers_after_they_have_been_called():
    seen = []
    app = new_app()
    whop = WhopWebhooks(app)

    @whop.on("payment.succeeded")
    def receiver(_app, event, whop=whop):
        seen.append(whop.stats())

    Sender(app).deliver("payment.succeeded")
    assert len(seen) == 1
    gone = weakref.ref(app)
    del app, whop, receiver
    gc.collect()
    assert gone() is None


def test_on_takes_classes_names_and_patterns_several_at_once(sender, whop):
    seen = []
    whop.on(PaymentSucceeded, PaymentFailed)(lambda app, event: seen.append(("classes", event.type)))
    whop.on("payment.succeeded", name="by name")(lambda app, event: seen.append(("name", event.type)))
    whop.on("payment.*", "refund.*", name="by pattern")(lambda app, event: seen.append(("patterns", event.type)))
    whop.on("*", name="all")(lambda app, event: seen.append(("all", event.type)))

    for kind in ("payment.succeeded", "payment.failed", "refund.created", "entry.created"):
        sender.deliver(kind)

    assert seen == [
        ("classes", "payment.succeeded"),
        ("name", "payment.succeeded"),
        ("patterns", "payment.succeeded"),
        ("all", "payment.succeeded"),
        ("classes", "payment.failed"),
        ("patterns", "payment.failed"),
        ("all", "payment.failed"),
        ("patterns", "refund.created"),
        ("all", "refund.created"),
        ("all", "entry.created"),
    ]


def test_patterns_take_unknown_types_that_they_match(sender, whop):
    seen = []
    whop.on("payment.*", name="payments")(lambda app, event: seen.append(("payments", event.type)))
    whop.on("*", name="all")(lambda app, event: seen.append(("all", event.type)))
    whop.on(UnknownEvent, name="unknown")(lambda app, event: seen.append(("unknown", event.type)))
    unknown_event.connect(lambda app, event: seen.append(("signal", event.type)))

    sender.deliver("payment.teleported")
    sender.deliver("comet.sighted")

    assert seen == [
        ("payments", "payment.teleported"),
        ("all", "payment.teleported"),
        ("unknown", "payment.teleported"),
        ("signal", "payment.teleported"),
        ("all", "comet.sighted"),
        ("unknown", "comet.sighted"),
        ("signal", "comet.sighted"),
    ]


def test_on_before_init_app_serves_each_app_that_is_set_up_later():
    seen = []
    whop = WhopWebhooks()
    whop.on("payment.succeeded")(lambda app, event: seen.append(app.name))
    apps = [new_app("one"), new_app("two")]
    for app in apps:
        whop.init_app(app)
    whop.on("payment.failed")(lambda app, event: seen.append(f"{app.name} failed"))
    for app in apps:
        Sender(app).deliver("payment.succeeded")
        Sender(app).deliver("payment.failed")
    assert seen == ["one", "one failed", "two", "two failed"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("payment.suceeded", "payment.succeeded"),
        ("payment_succeeded", "payment.succeeded"),
        ("identity_profile.need_action", "identity_profile.needs_action"),
        ("paymnt.*", "payment"),
        ("zzz", "EVENT_TYPES"),
        ("", "EVENT_TYPES"),
    ],
)
def test_a_name_that_no_event_has_is_refused_with_the_nearest_ones(whop, name, near):
    with pytest.raises(UnknownEventError, match=near):
        whop.on(name)


@pytest.mark.parametrize("events", [(), (Event,), (int,), (7,), (lambda app, event: None,)])
def test_on_refuses_what_is_no_event(whop, events):
    with pytest.raises(SetupError, match=r"on\(\)"):
        whop.on(*events)


@pytest.mark.parametrize(
    "receiver",
    [
        lambda: None,
        lambda app: None,
        lambda app, payment: None,
        lambda event: None,
        lambda app, event, mailer: None,
        lambda *, app, event: None,
    ],
)
def test_hazard_a_function_that_could_not_be_called_is_refused_at_connect(app, whop, receiver):
    for connect in (
        payment_succeeded.connect,
        payment_succeeded.connect_via(app),
        whop.on("payment.succeeded"),
        whop.on("*"),
    ):
        with pytest.raises(ReceiverError, match=r"can't be called with \(app, event\)"):
            connect(receiver)
    with pytest.raises(ReceiverError), payment_succeeded.connected_to(receiver):
        pass
    assert not any(True for _ in payment_succeeded.receivers_for(app))


def test_what_is_not_callable_is_refused():
    with pytest.raises(ReceiverError, match="isn't callable"):
        payment_succeeded.connect("fulfil")


@pytest.mark.parametrize(
    "receiver",
    [
        lambda app, event: None,
        lambda app, event, **extra: None,
        lambda app, *, event, mailer=None: None,
        lambda *args, **kwargs: None,
        lambda sender, event: None,
        partial(lambda app, event, mailer: None, mailer=1),
        dict,
    ],
)
def test_every_function_that_can_be_called_is_accepted(receiver):
    payment_succeeded.connect(receiver)


def test_an_async_receiver_without_asgiref_is_refused_with_the_line_to_install_it(monkeypatch):
    monkeypatch.setattr("flask_whop.signals.checks.find_spec", lambda name: None)

    async def receiver(app, event): ...

    with pytest.raises(MissingExtraError, match=r'pip install "flask-whop\[async\]"'):
        payment_succeeded.connect(receiver)


def test_a_lifecycle_receiver_is_checked_for_its_own_keywords():
    with pytest.raises(ReceiverError, match=r"\(app, event, receiver, error\)"):
        receiver_failed.connect(lambda app, event: None)


def test_a_lifecycle_receiver_can_be_tied_to_an_app(app, whop):
    seen = []
    delivery_rejected.connect_via(app)(lambda app, rejection: seen.append(rejection.reason))
    app.test_client().post("/webhooks/whop")
    other = new_app("other")
    WhopWebhooks(other)
    other.test_client().post("/webhooks/whop")
    assert len(seen) == 1


def test_hazard_receivers_run_in_the_order_in_which_they_were_connected(app, whop, sender):
    ran = []
    for number in range(50):
        connect = (
            payment_succeeded.connect,
            partial(payment_succeeded.connect, sender=app),
            lambda receiver, name: whop.on("payment.*", name=name)(receiver),
        )[number % 3]
        connect(lambda app, event, number=number: ran.append(number), name=f"receiver {number}")
    sender.deliver("payment.succeeded")
    assert ran == list(range(50))


def test_each_signal_is_called_what_it_is_imported_by():
    named = {name: signal.name for name, signal in vars(signals).items() if isinstance(signal, AppSignal)}
    assert {name for name, known in named.items() if name != known} == set()


def test_one_function_can_receive_several_signals(sender):
    seen = []

    @payment_succeeded.connect
    @payment_failed.connect
    @refund_created.connect
    def receiver(app, event):
        seen.append(event.type)

    for kind in ("payment.succeeded", "payment.failed", "refund.created"):
        sender.deliver(kind)
    assert seen == ["payment.succeeded", "payment.failed", "refund.created"]


def test_hazard_muting_in_one_thread_drops_nothing_in_another(sender):
    seen = []
    payment_succeeded.connect(lambda app, event: seen.append(event.id))
    with payment_succeeded.muted():
        sender.deliver("payment.succeeded", id="msg_muted")
        other = threading.Thread(target=sender.deliver, args=("payment.succeeded",), kwargs={"id": "msg_other"})
        other.start()
        other.join()
    assert seen == ["msg_other"]


def test_blinkers_own_send_works_with_the_signals(app):
    seen = []
    payment_succeeded.connect(lambda app, event: seen.append(event))
    payment_succeeded.send(app, event="event")
    assert seen == ["event"]


def test_the_name_of_a_receiver_is_its_module_and_qualified_name(app, whop, sender, caplog):
    class Fulfil:
        def __call__(self, app, event):
            raise RuntimeError

        def method(self, app, event):
            raise RuntimeError

    names = []
    receiver_failed.connect(lambda app, event, receiver, error: names.append(receiver))
    here = f"{__name__}:{test_the_name_of_a_receiver_is_its_module_and_qualified_name.__qualname__}.<locals>.Fulfil"
    payment_succeeded.connect(Fulfil())
    payment_succeeded.connect(Fulfil().method)
    payment_failed.connect(partial(Fulfil().method))
    whop.on("payment.succeeded", name="named")(Fulfil().method)
    with caplog.at_level(logging.CRITICAL):
        sender.deliver("payment.succeeded")
        sender.deliver("payment.failed")
    assert names == [here, f"{here}.method", "named", f"{here}.method"]


def test_the_repr_of_a_signal_says_its_event_and_how_many_receivers_it_has(app):
    def fulfil(app, event): ...

    signal = EventSignal("payment.succeeded")
    assert repr(signal) == "<EventSignal payment.succeeded: 0 receivers>"
    signal.connect(fulfil)
    signal.connect(fulfil, app)
    assert repr(signal) == "<EventSignal payment.succeeded: 1 receiver>"
    assert repr(LifecycleSignal("delivery_seen", ())) == "<LifecycleSignal delivery_seen: 0 receivers>"
    assert "payment.succeeded" in signal.__doc__


def test_a_weak_receiver_that_is_gone_leaves_nothing_to_another_of_its_id(app):
    calls = []

    def make(name):
        return lambda app, event: calls.append(name)

    signal = EventSignal("payment.succeeded")
    weak = make("weak")
    signal.connect(weak, weak=True, name="weak")
    former = id(weak)
    del weak
    gc.collect()
    others = []
    while id(again := make(len(others))) != former:
        others.append(again)
        assert len(others) < 100_000, "no function gets its id"
    signal.connect(make("first"), app, name="first")
    signal.connect(again, app, name="second")
    assert [call.name for call in signal.calls_for(app)] == ["first", "second"]
    signal.disconnect(again, app)
    signal.connect(again, name="third")
    assert [call.name for call in signal.calls_for(app)] == ["first", "third"]


class Unwatched:
    """Nothing can refer to its instances weakly."""

    __slots__ = ()

    def __call__(self, app, event): ...

    def fulfil(self, app, event): ...


@pytest.mark.parametrize("receiver", [Unwatched(), Unwatched().fulfil], ids=["instance", "method"])
def test_a_receiver_that_nothing_can_refer_to_weakly_is_connected_for_one_app_and_for_all(app, receiver):
    signal = EventSignal("payment.succeeded")
    signal.connect(receiver, app, name="for the app")
    assert [call.name for call in signal.calls_for(app)] == ["for the app"]
    signal.disconnect(receiver)
    signal.connect(receiver, name="for all")
    signal.connect(receiver, app, name="for the app")
    signal.connect(receiver, "other", weak=True, name="held already")
    assert [call.name for sender in (app, "other", None) for call in signal.calls_for(sender)] == [
        "for the app",
        "held already",
        "for all",
    ]
    signal.disconnect(receiver)
    assert signal.calls_for(app) == signal.calls_for("other") == []


def test_a_receiver_that_is_held_strongly_stays_so_when_it_is_connected_weakly_as_well(app):
    def receiver(app, event): ...

    payment_succeeded.connect(receiver, app)
    payment_succeeded.connect(receiver, app, weak=True)
    with isolated_signals(app):
        payment_succeeded.disconnect(receiver)
    del receiver
    gc.collect()
    assert len(payment_succeeded.calls_for(app)) == 1


def test_a_method_can_be_a_sender_and_its_receivers_go_with_its_object():
    class Shop:
        def sell(self): ...

    shop, signal = Shop(), EventSignal("payment.succeeded")
    signal.connect(lambda sender, event: event, shop.sell)
    assert [result for _, result in signal.send(shop.sell, event="sold")] == ["sold"]
    del shop
    gc.collect()
    assert repr(signal) == "<EventSignal payment.succeeded: 0 receivers>"


def test_a_signal_whose_state_is_cleared_has_no_receivers(app):
    signal = EventSignal("payment.succeeded")
    signal.connect(lambda app, event: None, name="once")
    signal.connect(lambda app, event: None, app, name="once for the app")
    before = signal.snapshot(app, None)
    signal._clear_state()
    signal.connect(lambda app, event: None, name="again")
    assert [call.name for call in signal.snapshot(app, before).calls] == ["again"]


def test_what_disconnects_waits_for_a_connection_that_another_thread_is_making(app):
    def receiver(app, event): ...

    def meanwhile(_signal, **connection):
        other.start()
        other.join(0.1)

    signal = EventSignal("payment.succeeded")
    other = threading.Thread(target=signal.disconnect, args=(receiver,))
    signal.receiver_connected.connect(meanwhile)
    signal.connect(receiver)
    other.join()
    assert repr(signal) == "<EventSignal payment.succeeded: 0 receivers>"
