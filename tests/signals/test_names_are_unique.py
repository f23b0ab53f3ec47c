"""Two receivers of one name, which would share their receipts, are refused when the second is connected."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from functools import partial, wraps

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_whop import WhopWebhooks
from flask_whop.errors import SetupError
from flask_whop.signals import delivery_processed, payment_failed, payment_succeeded, unknown_event
from flask_whop.testing import WhopTestClient, isolated_signals
from tests.shop import SECRET, Sender


def set_up(name="shop"):
    return set_up_with(WhopWebhooks(), name)


def set_up_with(whop, name):
    app = Flask(name)
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_STORE="memory://")
    whop.init_app(app)
    return app


def receiver():
    """Another receiver at each call, all of one name."""

    def fulfil(app, event): ...

    return fulfil


def called(app, signal=payment_succeeded):
    return [call.name.rpartition(".")[2] for call in signal.calls_for(app)]


def on(app, *events, **how):
    return app.extensions["whop"].on(*(events or ("payment.succeeded",)), **how)


def connect_pattern(app, pattern):
    """Straight to the signal of unknown types: some patterns match the same known ones."""
    other = receiver()
    unknown_event.put(other, app, unknown_event.terms_for(other, patterns=[pattern]))


WAYS = {
    "connect": lambda app: payment_succeeded.connect,
    "connect for the app": lambda app: partial(payment_succeeded.connect, sender=app),
    "connect weakly": lambda app: partial(payment_succeeded.connect, weak=True),
    "connect_via": payment_succeeded.connect_via,
    "on": on,
    "on a pattern": lambda app: on(app, "payment.*"),
    "on all": lambda app: on(app, "*"),
}


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
def test_a_second_receiver_of_the_name_is_refused_with_the_ways_out(first, second):
    app, one, other = set_up(), receiver(), receiver()
    WAYS[first](app)(one)
    with pytest.raises(
        SetupError, match=r"(?s)fulfil is already connected to \w+[._]\w+.*name=.*connect_via\(app\).*@whop.on"
    ):
        WAYS[second](app)(other)
    assert called(app) == ["fulfil"]


@pytest.mark.parametrize("second", ["connect_via", "connect for the app", "on", "on a pattern"])
@pytest.mark.parametrize("first", ["connect_via", "connect for the app", "on", "on a pattern"])
def test_receivers_of_different_apps_may_share_a_name(first, second):
    one, other = set_up("one"), set_up("other")
    WAYS[first](one)(receiver())
    WAYS[second](other)(receiver())
    assert (called(one), called(other)) == (["fulfil"], ["fulfil"])


def test_receivers_of_different_events_may_share_a_name(app, whop):
    payment_succeeded.connect(receiver())
    payment_failed.connect(receiver())
    whop.on("refund.created")(receiver())


def test_a_name_of_its_own_is_enough(app, whop):
    payment_succeeded.connect(receiver())
    payment_succeeded.connect(receiver(), name="second")
    payment_succeeded.connect_via(app, name="third")(receiver())
    whop.on("payment.*", name="fourth")(receiver())
    assert called(app) == ["fulfil", "second", "third", "fourth"]


class Till:
    def charge(self, app, event): ...

    def __call__(self, app, event): ...


def decorator(function):
    def wrapper(app, event):
        return function(app, event=event)

    return wrapper


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda app, event: None,
        lambda: partial(Till().charge),
        lambda: Till().charge,
        Till,
        lambda: decorator(receiver()),
        lambda: wraps(receiver())(lambda app, event: None),
    ],
    ids=["lambda", "partial", "bound method", "object", "decorated", "decorated with wraps"],
)
def test_what_cannot_be_told_apart_by_its_definition_needs_a_name(make):
    first, second = make(), make()
    payment_succeeded.connect(first)
    with pytest.raises(SetupError, match="name="):
        payment_succeeded.connect(second)
    payment_succeeded.connect(second, name="second")


def test_the_same_receiver_connected_again_is_the_same_receiver(app, whop):
    till, once = Till(), receiver()
    for one in (till.charge, once):
        payment_succeeded.connect(one)
        payment_succeeded.connect(one)
        payment_succeeded.connect_via(app)(one)
        whop.on("payment.succeeded")(one)
        whop.on("payment.*")(one)
    assert called(app) == ["charge", "fulfil"]


def test_lifecycle_signals_keep_no_receipts_and_take_any(app):
    def hear():
        return lambda app, delivery, event: None

    for _ in range(3):
        delivery_processed.connect(hear())
    assert len(delivery_processed.calls_for(app)) == 3


def test_receivers_that_are_gone_or_disconnected_do_not_count(app):
    held_weakly, disconnected = receiver(), receiver()
    payment_succeeded.connect(held_weakly, weak=True)
    del held_weakly
    gc.collect()
    payment_succeeded.connect(disconnected)
    payment_succeeded.disconnect(disconnected)
    payment_succeeded.connect_via(app)(disconnected)
    payment_succeeded.disconnect(disconnected, app)
    payment_succeeded.connect(receiver())
    assert called(app) == ["fulfil"]


def test_receivers_of_an_app_that_is_gone_do_not_count_even_if_nobody_has_collected_it():
    gc.disable()
    try:
        app = set_up()
        app.myself = app
        on(app)(receiver())
        del app
        payment_succeeded.connect(receiver())
    finally:
        gc.enable()


def test_on_connects_to_all_its_events_in_all_its_apps_or_to_none():
    whop = WhopWebhooks()
    apps = [set_up_with(whop, "one"), set_up_with(whop, "other")]
    taken = receiver()
    payment_succeeded.connect_via(apps[1])(taken)
    with pytest.raises(SetupError):
        whop.on("payment.*")(receiver())
    assert [called(app, payment_failed) for app in apps] == [[], []]
    payment_succeeded.disconnect(taken)
    whop.on("payment.*")(receiver())
    assert [called(app, payment_failed) for app in apps] == [["fulfil"], ["fulfil"]]


def test_two_of_one_extension_are_refused_before_there_is_an_app():
    whop = WhopWebhooks()
    whop.on("payment.*")(receiver())
    with pytest.raises(SetupError, match=r"payment\.failed"):
        whop.on("payment.failed")(receiver())
    with pytest.raises(SetupError, match="fulfil"):
        whop.on("pay*")(receiver())


# Unknown events, by patterns.


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("payment.*", "refund.*", False),
        ("payment.*", "payment.*", True),
        ("*.created", "*.updated", False),
        ("payment.*", "*.created", True),
        ("payment.*.created", "payment.*.updated", False),
        ("*", "payment.*", True),
        ("pay*", "payment.*", True),
        ("payment.[cs]*", "payment.?*", True),
    ],
)
def test_two_patterns_of_one_name_clash_if_a_type_can_match_both(app, one, other, clash):
    connect_pattern(app, one)
    if clash:
        with pytest.raises(SetupError, match="unknown_event"):
            connect_pattern(app, other)
    else:
        connect_pattern(app, other)
        with pytest.raises(SetupError):
            unknown_event.connect(receiver())


WORDS = st.text("ab*", max_size=6)


@given(WORDS, WORDS, st.text("ab", max_size=8))
def test_no_type_comes_to_two_receivers_of_one_name(one, other, event_type):
    app = Flask("shop")
    connect_pattern(app, one)
    try:
        connect_pattern(app, other)
    except SetupError:
        return
    assert len(unknown_event.calls_for_type(app, event_type)) < 2


# What belongs to a connection.


def test_one_function_under_two_patterns_takes_the_types_of_both(app, whop):
    seen = []

    def books(app, event):
        seen.append(event.type)

    whop.on("payment.*", name="payments")(books)
    whop.on("refund.*", name="refunds", was="money back")(books)
    sender = Sender(app)
    for event_type in ("payment.teleported", "refund.teleported", "entry.teleported"):
        sender.deliver(event_type)
    assert seen == ["payment.teleported", "refund.teleported"]
    told = [unknown_event.calls_for_type(app, f"{one}.teleported") for one in ("payment", "refund", "entry")]
    assert [[(call.name, call.was) for call in calls] for calls in told] == [
        [("payments", ())],
        [("refunds", ("money back",))],
        [],
    ]


def test_one_function_in_two_apps_has_in_each_what_it_was_connected_with_there():
    one, other = set_up("one"), set_up("other")
    seen = []

    def books(app, event):
        seen.append((app.name, event.type))

    on(one, "payment.*", name="one", skip_stale=True, was=["a", "b"])(books)
    on(other, "refund.*", name="other")(books)
    unknown_event.connect_via(other, name="other's signal")(receiver())
    for app in (one, other):
        for event_type in ("payment.teleported", "refund.teleported"):
            Sender(app).deliver(event_type)
    assert seen == [("one", "payment.teleported"), ("other", "refund.teleported")]

    for app in (one, other):
        on(app, "entry.created", name=f"{app.name}'s", skip_stale=app is one, was=f"{app.name} was")(books)
        payment_succeeded.connect_via(app, name=f"{app.name}'s", skip_stale=app is other)(books)
    [[call], [others]] = ([*payment_succeeded.calls_for(app)][-1:] for app in (one, other))
    assert (call.name, call.skip_stale, others.name, others.skip_stale) == ("one's", False, "other's", True)
    assert [(call.name, call.skip_stale) for call in payment_failed.calls_for(one)] == [("one", True)]


def test_a_connection_for_the_app_comes_before_one_for_all_of_the_same_function(app):
    once = receiver()
    payment_succeeded.connect_via(app, name="of the app", was="old")(once)
    payment_succeeded.connect(once, name="of all", skip_stale=True)
    assert [(call.name, call.skip_stale, call.was) for call in payment_succeeded.calls_for(app)] == [
        ("of the app", False, ("old",))
    ]
    assert [(call.name, call.skip_stale, call.was) for call in payment_succeeded.calls_for(set_up())] == [
        ("of all", True, ())
    ]
    payment_succeeded.disconnect(once, app)
    assert called(app) == ["of all"]


def test_a_function_that_is_disconnected_leaves_nothing_to_one_that_comes_after(app, whop):
    once = receiver()
    whop.on("payment.*", name="books", was="old", skip_stale=True)(once)
    unknown_event.disconnect(once)
    unknown_event.connect_via(app)(once)
    [call] = unknown_event.calls_for_type(app, "comet.sighted")
    assert (call.name.rpartition(".")[2], call.was, call.skip_stale) == ("fulfil", (), False)


def test_isolation_puts_back_all_that_belongs_to_a_connection_and_its_place(app, whop):
    first, second = receiver(), receiver()
    whop.on("payment.*", name="first", was="old", skip_stale=True)(first)
    unknown_event.connect(second, name="second")
    before = [unknown_event.calls_for_type(app, one) for one in ("payment.teleported", "comet.sighted")]
    with isolated_signals(app):
        unknown_event.disconnect(first)
        unknown_event.connect(second, name="other", was="former")
        unknown_event.connect(first, name="second")
    assert [unknown_event.calls_for_type(app, one) for one in ("payment.teleported", "comet.sighted")] == before


# Former names.


def test_was_is_one_former_name_or_several_in_each_of_the_three_ways(app, whop):
    payment_succeeded.connect(receiver(), name="1", was="shop:fulfil")
    payment_succeeded.connect_via(app, name="2", was=("a", "b"))(receiver())
    whop.on("payment.*", name="3", was=["b", "3", "größe"])(receiver())
    assert [call.was for call in payment_succeeded.calls_for(app)] == [
        ("shop:fulfil",),
        ("a", "b"),
        ("b", "gr\\xf6\\xdfe"),
    ]


@pytest.mark.parametrize("was", ["", 7, [7], [""], [None], None, {"a": 1}])
def test_what_is_no_name_is_refused_as_a_former_one(app, whop, was):
    for connect in (payment_succeeded.connect_via(app, was=was), whop.on("payment.*", was=was)):
        with pytest.raises(SetupError, match=r"was="):
            connect(receiver())


def test_a_former_name_that_another_has_now_is_refused_since_its_receipts_are_the_others(app):
    payment_succeeded.connect(receiver(), name="a first name")
    with pytest.raises(SetupError, match=r"a first name.*was="):
        payment_succeeded.connect_via(app, name="a second name", was="a first name")(receiver())
    payment_succeeded.connect(receiver(), name="a second name", was="a third name")
    with pytest.raises(SetupError, match=r"a third name.*was="):
        payment_succeeded.connect(receiver(), name="a third name")


# Reloading.

MODULE = """
from functools import partial
from flask_whop.signals import payment_succeeded

class Till:
    def charge(self, app, event): ...

@payment_succeeded.connect
def charge(app, event):
    return VERSION

@payment_succeeded.connect
@partial
def mail(app, event):
    return VERSION

payment_succeeded.connect(Till().charge)
payment_succeeded.connect(lambda app, event: VERSION, name="told")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that can be written anew, and is imported again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text):
        (tmp_path / "reloaded_shop.py").write_text(text)
        known = sys.modules.get("reloaded_shop")
        return importlib.reload(known) if known else importlib.import_module("reloaded_shop")

    yield write
    sys.modules.pop("reloaded_shop", None)


def test_a_reload_puts_the_new_definition_in_the_place_of_the_former(app, module):
    for version in (1, 2, 3):
        module(f"VERSION = {version}\n" + "\n" * version + MODULE)
        calls = payment_succeeded.calls_for(app)
        assert [call.name.partition(":")[2] or call.name for call in calls] == [
            "charge",
            "mail",
            "Till.charge",
            "told",
        ]
        assert [call.receiver(app, event=None) for call in calls] == [version, version, None, version]


def test_a_reload_replaces_what_on_was_asked_for_and_leaves_no_event_to_the_former(app, whop, module):
    app.extensions["shop"] = whop
    text = "from flask import current_app\n@current_app.extensions['shop'].on({})\ndef charge(app, event): ...\n"
    with app.app_context():
        module(text.format("'payment.*'"))
        module(text.format("'payment.succeeded'"))
    assert (called(app), called(app, payment_failed)) == (["reloaded_shop:charge"], [])
    later = set_up_with(whop, "later")
    assert (called(later), called(later, payment_failed)) == (["reloaded_shop:charge"], [])


def test_a_reload_whose_connection_cannot_be_made_leaves_the_former_definition(app, module):
    text = (
        "from flask_whop.signals import payment_succeeded\n"
        "class Till:\n    __slots__ = ()\n    def charge(self, app, event): ...\n"
        "payment_succeeded.connect(Till().charge, weak={})\n"
    )
    module(text.format("False"))
    with pytest.raises(TypeError, match="weak reference"):
        module(text.format("True"))
    assert called(app) == ["charge"]


def test_two_of_one_name_in_one_module_are_no_reload(module):
    twice = "@payment_succeeded.connect\ndef charge(app, event): ...\n" * 2
    with pytest.raises(SetupError, match="reloaded_shop:charge"):
        module("from flask_whop.signals import payment_succeeded\n" + twice)


def test_a_module_that_runs_twice_under_two_names_is_told(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from flask_whop.signals import payment_succeeded\n"
        "@payment_succeeded.connect\ndef charge(app, event): ...\n"
        "import parts\n"
    )
    (tmp_path / "parts.py").write_text("import shop\n")
    ran = subprocess.run([sys.executable, "shop.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "SetupError: shop:charge is connected to payment_succeeded twice" in ran.stderr
    assert "as __main__ and as shop" in ran.stderr


def test_a_cell_of_a_notebook_that_runs_again_replaces_what_it_defined():
    code = (
        "from flask_whop.signals import payment_succeeded\n"
        "cell = '@payment_succeeded.connect\\ndef charge(app, event): ...'\n"
        "exec(cell); exec(cell)\n"
        "print([call.name for call in payment_succeeded.calls_for(None)])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "['__main__:charge']\n"


def test_the_receivers_of_one_test_are_no_hindrance_to_the_next(app, whop):
    for _ in range(2):
        with WhopTestClient(app):
            on(app, "payment.*")(receiver())
            payment_succeeded.connect(receiver(), name="of the signal")
