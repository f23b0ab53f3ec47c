"""A receiver of ``shipping_address.changed`` answers Whop, which waits for a price."""

from __future__ import annotations

import logging
from decimal import Decimal
from types import MappingProxyType

import pytest

from flask_whop import WhopWebhooks
from flask_whop.events import ShippingAddressChanged, ShippingQuote
from tests.shop import Sender, new_app

EVENT = "shipping_address.changed"
ITEMS = [{"name": "Mug", "amount": 12.5}]
QUOTE = {"line_items": ITEMS, "shipping_options": [{"name": "Post"}], "tax": {"rate": "0.19"}}


@pytest.fixture
def shop(tmp_path):
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3")
    return Sender(app), WhopWebhooks(app)


def answers(sender, **envelope):
    response = sender.deliver(EVENT, {"id": "addr_1"}, **envelope)
    return response.status_code, response.json


@pytest.mark.parametrize(
    "returned",
    [QUOTE, ShippingQuote(ITEMS, [{"name": "Post"}], {"rate": "0.19"})],
    ids=["a mapping", "a quote"],
)
def test_what_the_receiver_returns_is_the_json_of_the_answer(shop, returned):
    sender, whop = shop
    whop.on(ShippingAddressChanged)(lambda app, event: returned)
    assert answers(sender) == (200, QUOTE)


def test_an_async_receiver_answers_too(shop):
    sender, whop = shop

    @whop.on(EVENT)
    async def quote(app, event):
        return {"line_items": [], "tax": {"amount": Decimal("1.10")}}

    assert answers(sender) == (200, {"line_items": [], "tax": {"amount": "1.10"}})


def test_a_duplicate_gets_the_same_answer_and_the_receiver_is_called_once(shop):
    sender, whop = shop
    calls = []

    @whop.on(EVENT)
    def quote(app, event):
        calls.append(event.id)
        return {"line_items": [{"number": len(calls)}]}

    first = answers(sender, id="msg_again")
    assert answers(sender, id="msg_again") == first == (200, {"line_items": [{"number": 1}]})
    assert calls == ["msg_again"]


def test_a_receiver_that_failed_beside_it_is_retried_and_the_answer_stays(shop):
    sender, whop = shop
    fails = [ValueError("not yet")]

    @whop.on(EVENT)
    def quote(app, event):
        return {"line_items": [{"fails": len(fails)}]}

    @whop.on(EVENT)
    def note(app, event):
        if fails:
            raise fails.pop()

    assert answers(sender, id="msg_again")[0] == 500
    assert answers(sender, id="msg_again") == (200, {"line_items": [{"fails": 1}]})


def test_a_receiver_that_returns_nothing_leaves_the_usual_answer(shop):
    sender, whop = shop
    whop.on(EVENT)(lambda app, event: None)
    assert answers(sender) == (200, {"status": "processed"})


def test_of_two_answers_the_first_counts_and_the_log_names_the_other(shop, caplog):
    sender, whop = shop
    whop.on(EVENT, name="first")(lambda app, event: {"line_items": [1]})
    whop.on(EVENT, name="second")(lambda app, event: {"line_items": [2]})
    assert answers(sender) == (200, {"line_items": [1]})
    assert "second answered shipping_address.changed" in caplog.text


@pytest.mark.parametrize("returned", [True, "12.50", [ITEMS], {"line_items": object()}, {"tax": float("nan")}])
def test_what_is_no_answer_is_a_failure_that_says_what_to_return(shop, returned, caplog):
    sender, whop = shop
    whop.on(EVENT, name="quote")(lambda app, event: returned)
    assert answers(sender)[0] == 500
    assert "quote returned" in caplog.text
    assert "ShippingQuote" in caplog.text or "can't be written as JSON" in caplog.text


def test_a_receiver_of_a_pattern_is_not_there_to_answer(shop):
    sender, whop = shop
    whop.on("*", name="audit")(lambda app, event: True)
    whop.on("shipping_address.*", name="log")(lambda app, event: {"internal": "row 7"})
    assert answers(sender) == (200, {"status": "processed"})
    whop.on(EVENT, "payment.*", name="quote")(lambda app, event: MappingProxyType(QUOTE))
    assert answers(sender) == (200, QUOTE)


def test_an_answer_is_kept_whatever_letters_it_has_and_refused_when_it_is_too_long(shop, caplog):
    sender, whop = shop
    sender.app.json.ensure_ascii = False
    returned = [{"note": "Zürich \ud83d"}, {"note": "x" * 40_000}]
    whop.on(EVENT, name="quote")(lambda app, event: returned[0])
    assert answers(sender) == (200, returned.pop(0))
    assert answers(sender)[0] == 500
    assert "at most 32768 are kept" in caplog.text


def test_other_events_take_no_answer(shop):
    sender, whop = shop
    whop.on("payment.succeeded")(lambda app, event: QUOTE)
    assert sender.deliver("payment.succeeded").json == {"status": "processed"}


def test_an_answer_that_comes_after_whops_answer_is_logged(tmp_path, caplog):
    app = new_app(tmp_path, WHOP_DISPATCH="after_response")
    WhopWebhooks(app).on(EVENT, name="quote")(lambda app, event: QUOTE)
    with caplog.at_level(logging.ERROR, "flask_whop"):
        assert answers(Sender(app)) == (200, {"status": "accepted"})
    assert 'Only WHOP_DISPATCH="inline" lets a receiver answer' in caplog.text


def test_the_doctor_finds_a_receiver_whose_answer_comes_too_late(tmp_path):
    app = new_app(tmp_path, WHOP_DISPATCH="worker")
    WhopWebhooks(app).on(EVENT, name="quote")(lambda app, event: QUOTE)
    result = app.test_cli_runner().invoke(args=["whop", "doctor"])
    assert "W406" in result.output
    assert "quote" in result.output
