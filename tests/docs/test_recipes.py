"""Each recipe does what it says, with deliveries of either shape, repeated and out of order."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from importlib import import_module

import httpx
import pytest

from flask_whop.testing import WhopTestClient
from tests.docs.pages import DOCS, RECIPES, blocks_of, module
from tests.shop import SECRET

SHAPES = pytest.mark.parametrize("pin", [None, "2026-10-15-1"])
NOW = datetime(2026, 11, 2, 10, tzinfo=timezone.utc)


class Kitchen:
    """Runs recipes in the shop that they share, and delivers to it."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.setenv("FLASK_WHOP_WEBHOOK_SECRET", SECRET)
        for name in ("WHOP_API_KEY", "DOWNLOAD_KEY", "DISCORD_BOT_TOKEN", "TELEGRAM_BOT_TOKEN"):
            monkeypatch.setenv(name, "made-up")
        [(code, _)] = blocks_of(DOCS / "recipes/index.md")
        self.shop = module("shop", folder, code, monkeypatch)
        self.client = None

    def cook(self, name):
        """Run a recipe, make its tables, and return its module."""
        code = "\n".join(code for code, _ in blocks_of(DOCS / f"recipes/{name}.md"))
        made = module(name.replace("-", "_"), self.folder, code, self.monkeypatch)
        with self.shop.app.app_context():
            self.shop.db.create_all()
        self.client = WhopTestClient(self.shop.app)
        return made

    def deliver(self, event_type, pin=None, after=timedelta(0), **data):
        """Deliver an event twice, as Whop may; the payload is as new as ``after`` says. Return the first answer."""
        moment = (NOW + after).isoformat()
        newer = {} if event_type.startswith(("identity", "refund")) else {"updated_at": moment}
        answer = self.client.deliver(event_type, pin=pin, data={**newer, **data}, envelope={"timestamp": moment})
        assert self.client.redeliver(answer).status == "duplicate"
        return answer

    def rows(self, model):
        """All rows of a table."""
        with self.shop.app.app_context():
            return self.shop.db.session.query(model).all()


@pytest.fixture
def kitchen(tmp_path, monkeypatch):
    kitchen = Kitchen(tmp_path, monkeypatch)
    yield kitchen
    if kitchen.client is not None:
        kitchen.client.close()
    with kitchen.shop.app.app_context():
        kitchen.shop.db.session.remove()
        kitchen.shop.db.engine.dispose()


@pytest.fixture
def calls(monkeypatch):
    """The requests that go out over httpx, which whop-sdk uses as well; each is answered with ``answers``, or 204."""

    class Calls(list):
        answers = ()

    made = Calls()

    def handle(_transport, request):
        request.read()
        made.append(request)
        return made.answers[len(made) - 1] if len(made) <= len(made.answers) else httpx.Response(204)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    return made


def test_each_recipe_with_code_has_a_test_here():
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    with_code = {page.stem for page in RECIPES if blocks_of(page)} - {"index"}
    assert {name for name in with_code if not any(test.startswith(name) for test in tested)} == set()


@SHAPES
def test_access_follows_the_newest_event(kitchen, pin):
    access = kitchen.cook("access")
    member = {"id": "mem_1", "user": {"id": "user_1"}, "user_id": "user_1"}
    kitchen.deliver("membership.activated", pin, **member)
    [row] = kitchen.rows(access.Access)
    assert row.active
    with kitchen.shop.app.app_context():
        assert access.may_enter(row.user_id, row.product_id)
    kitchen.deliver("membership.deactivated", pin, after=timedelta(days=2), **member)
    kitchen.deliver("membership.activated", pin, after=timedelta(days=1), **member)
    [row] = kitchen.rows(access.Access)
    assert not row.active
    with kitchen.shop.app.app_context():
        assert not access.may_enter(row.user_id, row.product_id)


def test_access_is_tested_as_the_recipe_says(kitchen):
    access = kitchen.cook("access")
    access.test_an_old_activation_grants_nothing(kitchen.shop.app, kitchen.client)


@SHAPES
def test_matching_users_links_the_customer_of_the_checkout(kitchen, calls, pin):
    matching = kitchen.cook("matching-users")
    with kitchen.shop.app.app_context():
        kitchen.shop.db.session.add(matching.Customer(id=7))
        kitchen.shop.db.session.commit()
    kitchen.deliver("membership.activated", pin, metadata={"shop_user": "7"})
    kitchen.deliver("membership.activated", pin, metadata={}, id="mem_2")
    [customer] = kitchen.rows(matching.Customer)
    assert customer.whop_user_id.startswith("user_")
    answer = kitchen.client.deliver("membership.activated", data={"metadata": {"shop_user": "x"}}, check=False)
    assert [failure.error.args for failure in answer.failures] == [("no customer 'x'",)]


@SHAPES
def test_licence_keys_belong_to_the_first_machine_until_the_membership_ends(kitchen, pin):
    kitchen.cook("licence-keys")
    kitchen.deliver("membership.activated", pin, license_key="A-1")
    client = kitchen.shop.app.test_client()

    def ask(machine, key="A-1"):
        return client.post("/licence", data={"key": key, "machine": machine}).status_code

    assert [ask("one"), ask("two"), ask("one"), ask("one", "B-1"), ask("")] == [200, 403, 200, 403, 403]
    kitchen.deliver("membership.deactivated", pin, after=timedelta(days=1), license_key="A-1")
    assert ask("one") == 403


def test_discord_telegram_sets_and_removes_the_role(kitchen, calls):
    kitchen.cook("discord-telegram")
    kitchen.deliver("membership.activated", metadata={"discord_id": "5", "telegram_id": "6"})
    [call] = calls
    assert (call.method, call.url.path) == (
        "PUT",
        "/api/v10/guilds/1100000000000000001/members/5/roles/1100000000000000002",
    )
    calls.answers = [*[httpx.Response(204)] * 2, *[httpx.Response(200, json={"ok": True})] * 2]
    kitchen.deliver("membership.deactivated", after=timedelta(days=1), metadata={"discord_id": "5", "telegram_id": "6"})
    assert [call.method for call in calls] == ["PUT", "DELETE", "POST", "POST"]
    assert [call.url.path.rpartition("/")[2] for call in calls[2:]] == ["banChatMember", "unbanChatMember"]


def test_discord_telegram_waits_as_long_as_discord_says(kitchen, calls):
    kitchen.cook("discord-telegram")
    calls.answers = [httpx.Response(429, headers={"Retry-After": "7"})]
    answer = kitchen.client.deliver("membership.activated", data={"metadata": {"discord_id": "5"}}, check=False)
    assert (answer.status, answer.response.headers["Retry-After"]) == ("retry_later", "7")


@SHAPES
def test_credits_are_added_once_and_taken_back_in_either_order(kitchen, pin):
    recipe = kitchen.cook("credits")
    user = {"plan": {"id": "plan_large"}, "plan_id": "plan_large", "user": {"id": "user_1"}, "user_id": "user_1"}

    def balance():
        with kitchen.shop.app.app_context():
            return recipe.balance("user_1")

    def refund(payment_id, status):
        kitchen.deliver("refund.updated", pin, payment={"id": payment_id}, payment_id=payment_id, status=status)

    assert balance() == 0
    refund("pay_2", "succeeded")
    for payment_id in ("pay_1", "pay_1", "pay_2"):  # the first is told twice, under two ids
        kitchen.deliver("payment.succeeded", pin, id=payment_id, **user)
    assert balance() == 1_000
    refund("pay_1", "pending")
    assert balance() == 1_000
    refund("pay_1", "succeeded")
    assert balance() == 0


@SHAPES
def test_download_mail_is_sent_once_with_an_id_that_stays(kitchen, monkeypatch, pin):
    import smtplib

    sent = []

    class Server:
        def __init__(self, *_args, **_how):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def send_message(self, mail):
            sent.append(mail)

    monkeypatch.setattr(smtplib, "SMTP", Server)
    recipe = kitchen.cook("download-mail")
    answer = kitchen.deliver("payment.succeeded", pin)
    kitchen.deliver("payment.succeeded", pin, billing_reason="subscription_cycle")
    [mail] = sent
    assert mail["To"] == "ada@example.com"
    assert mail["Message-ID"] == f"<{answer.event.idempotency_key(recipe.send_download)}@shop.example>"


@SHAPES
def test_failed_payments_leave_a_reminder_until_the_money_comes(kitchen, pin):
    recipe = kitchen.cook("failed-payments")
    kitchen.deliver("payment.requires_action", pin, id="pay_1")
    kitchen.deliver("payment.failed", pin, id="pay_2", billing_reason="subscription_cycle", failure_message="No money")
    first, second = kitchen.rows(recipe.Reminder)
    assert "https://whop.com/payments/" in first.text
    assert second.text.startswith("We couldn't collect 49.00 USD: No money.")
    assert first.address == second.address == "ada@example.com"
    kitchen.deliver("payment.succeeded", pin, id="pay_1")
    assert [row.payment_id for row in kitchen.rows(recipe.Reminder)] == ["pay_2"]


@SHAPES
def test_disputes_are_listed_by_their_deadline(kitchen, pin):
    recipe = kitchen.cook("disputes")
    due = {None: "needs_response_by", "2026-10-15-1": "evidence_due_at"}[pin]
    for dispute_id, day in [("dspt_1", "2026-12-02"), ("dspt_2", "2026-12-01")]:
        kitchen.deliver("dispute.created", pin, id=dispute_id, status="needs_response", **{due: f"{day}T00:00:00Z"})
    kitchen.deliver("dispute_alert.created", pin, id="dspa_1")
    kitchen.deliver("dispute.updated", pin, after=timedelta(days=1), id="dspt_1", status="won")
    with kitchen.shop.app.app_context():
        assert [case.id for case in recipe.to_do()] == ["dspa_1", "dspt_2"]


@SHAPES
def test_identity_checks_keep_what_the_shape_has(kitchen, pin):
    recipe = kitchen.cook("identity-checks")
    kitchen.deliver("identity_profile.needs_action", pin)
    [check] = kitchen.rows(recipe.Check)
    assert check.state == "needs_action"
    assert (check.session_url is None) == (pin is not None)


def test_calling_whop_back_sends_the_key_of_the_event(tmp_path, monkeypatch, capsys, calls):
    from tests.docs.pages import run

    monkeypatch.setenv("WHOP_API_KEY", "made-up")
    shop = run(DOCS / "guides/calling-whop.md", tmp_path, monkeypatch, capsys)
    with WhopTestClient(shop.app) as client:
        answer = client.deliver("dispute_alert.created", check=False)
    [refund] = calls
    assert refund.url.path == "/api/v1/payments/pay_B2no28qjs9vTht/refund"
    assert refund.headers["Idempotency-Key"] == answer.event.idempotency_key(shop.refund_before_the_dispute)


def test_the_assistants_page_takes_what_it_says_it_takes(tmp_path, monkeypatch, capsys, calls):
    from tests.docs.pages import run

    monkeypatch.setenv("WHOP_API_KEY", "made-up")
    shop = run(DOCS / "assistants.md", tmp_path, monkeypatch, capsys)
    with WhopTestClient(shop.app) as client:
        client.deliver("payment.succeeded")
        client.deliver("membership.deactivated")
        assert client.deliver("refund.created", check=False).status == "retry_later"
        client.deliver("membership.activated", check=False)
    assert [call.url.path.rpartition("/")[2] for call in calls] == ["extend"]
    assert import_module("shop") is shop
