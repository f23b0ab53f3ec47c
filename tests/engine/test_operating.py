"""``whop.deliveries``: what an operator finds, looks at, replays and erases."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta, timezone

import pytest

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import ConfigError, NotReplayable, StoreUnavailable
from flask_whop.events import PaymentSucceeded
from flask_whop.stores import Origin, ReceiptState, State
from tests.shop import Sender, new_app

PAID = "payment.succeeded"


class Shop:
    def __init__(self, folder, cipher=None, **config):
        self.app = new_app(folder, **{"WHOP_STORE": "sqlite:///whop.sqlite3", **config})
        self.whop = WhopWebhooks(self.app, cipher=cipher)
        self.keys = []
        self.fails = set()
        for name in ("mail", "books"):
            self.whop.on(PAID, name=name)(self.receiver(name))

    def receiver(self, name):
        def receive(app, event):
            self.keys.append((name, event.id, event.idempotency_key(name)))
            if name in self.fails:
                raise ValueError(f"no {name} today")

        return receive

    @property
    def ran(self):
        return [(name, delivery_id) for name, delivery_id, _ in self.keys]

    def deliver(self, delivery_id, event_type=PAID, data=None, **envelope):
        return Sender(self.app).deliver(event_type, data or {"id": "pay_1"}, id=delivery_id, **envelope)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    with shop.app.app_context():
        yield shop


def test_pages_are_read_one_after_the_other(shop):
    for number in range(7):
        shop.deliver(f"msg_{number}")
    seen, cursor = [], None
    while True:
        page = shop.whop.deliveries.find(limit=3, cursor=cursor)
        seen += [one.key.id for one in page.deliveries]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [f"msg_{number}" for number in reversed(range(7))]
    assert [one.key.id for one in shop.whop.deliveries.every(event_type="payment.*")] == seen
    written = ("[NaN, 1]", "[Infinity, 1]", '[1, "\\u0000"]', '[1, "\\ud800"]', f"[1{'0' * 400}, 1]", "[" * 9000)
    forged = [urlsafe_b64encode(one.encode()).decode() for one in written]
    for nonsense in ("nonsense", "", "W10", "é", *forged):
        with pytest.raises(ConfigError, match="cursor"):
            shop.whop.deliveries.find(cursor=nonsense)


def test_a_search_is_narrowed_by_all_that_is_given(shop):
    shop.deliver("msg_1", data={"id": "pay_7"})
    shop.deliver("msg_2", company_id="biz_2")
    now = datetime.now(timezone.utc)

    def found(**wanted):
        return {one.key.id for one in shop.whop.deliveries.find(**wanted).deliveries}

    assert found(states=[State.DONE]) == {"msg_1", "msg_2"}
    assert found(account_id="biz_2", receiver="mail", receipt_state=ReceiptState.DONE) == {"msg_2"}
    assert found(text="pay_7") == found(resource="payment:pay_7") == {"msg_1"}
    assert found(since=now - timedelta(hours=1), until=now + timedelta(hours=1)) == {"msg_1", "msg_2"}
    assert found(until=now - timedelta(hours=1)) == found(since=now + timedelta(hours=1)) == set()


def test_a_delivery_has_its_receipts_its_body_and_its_event(shop):
    shop.deliver("msg_1")
    details = shop.whop.deliveries.get("msg_1")
    assert details.delivery.origin is Origin.ARRIVED
    assert [receipt.receiver for receipt in details.receipts] == ["mail", "books"]
    assert type(details.event) is PaymentSucceeded
    assert json.loads(details.body)["id"] == "msg_1"
    assert shop.whop.deliveries.get("msg_404") is None


def test_a_replay_runs_what_is_unfinished(shop):
    shop.fails = {"mail"}
    shop.deliver("msg_1")
    shop.fails = set()
    assert shop.whop.deliveries.replay("msg_1").status == "processed"
    assert shop.ran == [("mail", "msg_1"), ("books", "msg_1"), ("mail", "msg_1")]
    with pytest.raises(NotReplayable):
        shop.whop.deliveries.replay("msg_404")


def test_one_receiver_is_replayed_and_the_other_keeps_its_failure(shop):
    shop.fails = {"mail", "books"}
    shop.deliver("msg_1")
    shop.fails = set()
    shop.whop.deliveries.replay("msg_1", ["books"])
    assert shop.ran[2:] == [("books", "msg_1")]
    states = {one.receiver: one.state for one in shop.whop.deliveries.get("msg_1").receipts}
    assert states == {"mail": ReceiptState.FAILED, "books": ReceiptState.DONE}
    assert shop.whop.deliveries.get("msg_1").delivery.state is State.DUE, "mail is ours to retry"
    run_due(shop.app)
    assert shop.ran[3:] == [("mail", "msg_1")]
    assert shop.whop.deliveries.get("msg_1").delivery.state is State.DONE


def other_release(shop, *names, **was):
    """The same shop in a process of another release, with these receivers."""
    app = new_app(shop.app.instance_path, **{key: shop.app.config[key] for key in shop.app.config if "WHOP_" in key})
    whop = WhopWebhooks(app)
    ran = []
    for name in names:
        whop.on(PAID, name=name, was=was.get(name, ()))(lambda app, event, name=name: ran.append((name, event.id)))
    return app, whop, ran


def test_a_receiver_that_this_process_lacks_is_not_lost_by_a_replay_for_another(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")
    shop.deliver("msg_1")
    app, whop, _ = other_release(shop, "mail")
    with app.app_context():
        whop.deliveries.replay("msg_1", ["mail"])
        assert whop.deliveries.get("msg_1").delivery.state is State.DUE
    run_due(shop.app)
    assert shop.ran == [("books", "msg_1")]


def test_a_dead_letter_of_a_receiver_that_this_process_lacks_stays_one(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker", WHOP_RETRY_FOR=0.001)
    shop.fails = {"mail", "books"}
    shop.deliver("msg_1")
    run_due(shop.app)
    app, whop, _ = other_release(shop, "mail")
    with app.app_context():
        assert whop.deliveries.replay("msg_1", ["mail"]).status == "dead"
        assert whop.deliveries.stats().counts[State.DEAD] == 1


def test_a_replay_for_one_receiver_runs_none_that_came_later(shop):
    shop.deliver("msg_1")
    shop.whop.on(PAID, name="charge")(shop.receiver("charge"))
    assert shop.whop.deliveries.replay("msg_1", ["mail"], force=True).status == "processed"
    run_due(shop.app)
    assert shop.ran[2:] == [("mail", "msg_1")]
    assert shop.whop.deliveries.get("msg_1").delivery.state is State.DONE


def test_a_forced_replay_under_a_new_name_leaves_the_former_receipt_as_it_was(shop):
    shop.deliver("msg_1")
    app, whop, ran = other_release(shop, "post", "books", post="mail")
    with app.app_context():
        whop.deliveries.replay("msg_1", ["post"], force=True)
    assert ran == [("post", "msg_1")]
    states = {one.receiver: one.state for one in shop.whop.deliveries.get("msg_1").receipts}
    assert states == dict.fromkeys(("mail", "books", "post"), ReceiptState.DONE)
    assert shop.deliver("msg_1").json == {"status": "duplicate"}, "of the former release too"


def test_what_finished_meanwhile_is_not_replayed(shop, monkeypatch):
    shop.fails = {"mail"}
    shop.deliver("msg_1")
    shop.fails = set()
    store = Installation.of(shop.app).store
    real = store.replay_some

    def after_whops_retry(*args):
        shop.deliver("msg_1")
        return real(*args)

    monkeypatch.setattr(store, "replay_some", after_whops_retry)
    with pytest.raises(NotReplayable):
        shop.whop.deliveries.replay("msg_1", ["mail"])
    assert shop.ran.count(("mail", "msg_1")) == 2


def test_an_erased_delivery_that_comes_again_runs_nothing_and_is_not_stored_again(shop):
    shop.fails = {"mail"}
    assert shop.deliver("msg_1").status_code == 500
    shop.whop.deliveries.erase(account_id="biz_1")
    shop.fails = set()
    ran = list(shop.ran)
    for _ in range(2):
        assert shop.deliver("msg_1").json == {"status": "duplicate"}
    assert shop.ran == ran
    assert shop.whop.deliveries.get("msg_1").body is None


def test_deliveries_are_never_pruned_sooner_than_whop_retries(shop):
    shop.deliver("msg_1")
    for days in (0, 3.9, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="4 days or more"):
            shop.whop.deliveries.prune(days)
    assert shop.whop.deliveries.get("msg_1") is not None


def test_nothing_personal_is_in_a_repr(shop):
    shop.fails = {"mail"}
    shop.deliver("msg_1", data={"id": "pay_1", "note": "very personal"})
    details = shop.whop.deliveries.get("msg_1")
    assert "very personal" not in repr(details)
    assert "no mail today" not in repr(details)


def test_a_dead_letter_of_another_receiver_stays_one(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker", WHOP_RETRY_FOR=0.001)
    shop.fails = {"mail", "books"}
    with shop.app.app_context():
        shop.deliver("msg_1")
        run_due(shop.app)
        assert shop.whop.deliveries.get("msg_1").delivery.state is State.DEAD
        shop.fails = set()
        assert shop.whop.deliveries.replay("msg_1", ["mail"]).status == "dead"
        details = shop.whop.deliveries.get("msg_1")
    assert details.delivery.state is State.DEAD
    assert {one.receiver: one.state for one in details.receipts} == {
        "mail": ReceiptState.DONE,
        "books": ReceiptState.DEAD,
    }


def test_what_has_finished_is_run_again_by_force_alone_and_with_the_same_key(shop):
    shop.deliver("msg_1")
    with pytest.raises(NotReplayable, match="only a forced replay"):
        shop.whop.deliveries.replay("msg_1", ["mail"])
    with pytest.raises(ConfigError, match="names its receivers"):
        shop.whop.deliveries.replay("msg_1", force=True)
    assert shop.whop.deliveries.replay("msg_1", ["mail"], force=True).status == "processed"
    assert shop.ran[2:] == [("mail", "msg_1")]
    assert shop.keys[2] == shop.keys[0]


def test_a_receiver_that_came_later_is_replayed_by_name(shop):
    shop.deliver("msg_1")
    shop.whop.on(PAID, name="new")(shop.receiver("new"))
    shop.whop.deliveries.replay("msg_1", ["new"])
    assert shop.ran[2:] == [("new", "msg_1")]
    with pytest.raises(NotReplayable, match="No receiver of delivery msg_1 is called nobody"):
        shop.whop.deliveries.replay("msg_1", ["nobody"])


def test_a_forced_replay_of_a_renamed_receiver_finds_its_former_receipt(tmp_path):
    shop = Shop(tmp_path)
    shop.deliver("msg_1")
    app = new_app(tmp_path, WHOP_STORE="sqlite:///whop.sqlite3")
    whop = WhopWebhooks(app)
    ran = []
    whop.on(PAID, name="post", was="mail")(lambda app, event: ran.append(event.id))
    with app.app_context():
        with pytest.raises(NotReplayable, match="has finished it"):
            whop.deliveries.replay("msg_1", ["post"])
        whop.deliveries.replay("msg_1", ["post"], force=True)
    assert ran == ["msg_1"]


def test_an_account_is_erased_and_nothing_of_it_runs_again(shop):
    shop.fails = {"mail"}
    shop.deliver("msg_1", company_id="biz_gone", data={"id": "pay_1", "user": {"email": "ada@example.com"}})
    shop.deliver("msg_2", company_id="biz_stays")
    assert shop.whop.deliveries.erase(account_id="biz_gone") == 1
    details = shop.whop.deliveries.get("msg_1")
    assert (details.body, details.event, details.delivery.state) == (None, None, State.DONE)
    assert [receipt.error for receipt in details.receipts] == [None, None]
    assert shop.whop.deliveries.get("msg_2").body is not None
    assert shop.whop.deliveries.erase(resource="payment:pay_1", delivery_ids=["msg_2", "msg_404"]) == 2


def test_payloads_go_before_the_rest_where_they_are_kept_for_less_time(tmp_path):
    shop = Shop(tmp_path, WHOP_KEEP_PAYLOAD_DAYS=1)
    store = Installation.of(shop.app).store
    shop.deliver("msg_old")
    now = store.clock()
    store.clock = lambda: now + 2 * 86_400
    shop.deliver("msg_new")
    with shop.app.app_context():
        assert shop.whop.deliveries.prune() == 0
        assert shop.whop.deliveries.get("msg_old").body is None
        assert shop.whop.deliveries.get("msg_new").body is not None
        assert [one.state for one in shop.whop.deliveries.get("msg_old").receipts] == [ReceiptState.DONE] * 2


class Reversing:
    """A cipher whose work is easy to see."""

    def encrypt(self, data):
        return b"sealed:" + data[::-1]

    def decrypt(self, token):
        if not token.startswith(b"sealed:"):
            raise ValueError("not ours")
        return token.removeprefix(b"sealed:")[::-1]


@pytest.mark.parametrize("mode", ["inline", "worker"])
def test_bodies_are_encrypted_in_the_store_and_everything_works(tmp_path, mode):
    shop = Shop(tmp_path, Reversing(), WHOP_DISPATCH=mode)
    shop.fails = {"mail"}
    shop.deliver("msg_1", data={"id": "pay_1", "note": "very personal"})
    run_due(shop.app)
    store = Installation.of(shop.app).store
    with shop.app.app_context():
        details = shop.whop.deliveries.get("msg_1")
        assert b"very personal" in details.body
        assert details.delivery.body.startswith(b"sealed:")
        shop.fails = set()
        assert shop.whop.deliveries.replay("msg_1").status == "processed"
    store.close()
    assert b"very personal" not in b"".join(file.read_bytes() for file in tmp_path.glob("whop.sqlite3*"))


def test_a_body_of_another_key_stays_and_says_why(tmp_path):
    shop = Shop(tmp_path, WHOP_DISPATCH="worker")
    shop.deliver("msg_1")
    other = Shop(tmp_path, Reversing(), WHOP_DISPATCH="worker")
    with other.app.app_context():
        with pytest.raises(StoreUnavailable, match="can't be decrypted"):
            other.whop.deliveries.get("msg_1")
        assert other.whop.deliveries.stats().counts[State.DUE] == 1
