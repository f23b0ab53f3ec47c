from __future__ import annotations

import re
import shlex
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from examples.course_shop.models import Entry, db
from flask_whop import GiveUp
from flask_whop.events import (
    DisputeCreated,
    DisputeUpdated,
    MembershipActivated,
    MembershipDeactivated,
    MembershipUpdated,
    Money,
    PaymentSucceeded,
    ProductUpdated,
    RefundCreated,
    RefundUpdated,
)
from flask_whop.testing import WhopTestClient

PIN = "2026-10-15-1"
NOON = datetime(2026, 11, 2, 12, tzinfo=timezone.utc)
MEMBERSHIP = {
    "id": "mem_1",
    "license_key": "CELLO-7F3A-91BC",
    "product": {"id": "prod_1", "title": "Cello for beginners"},
    "user": {"id": "user_1", "name": "Ada King", "email": "ada@example.com"},
}
PAYMENT = {"id": "pay_1", "total": 49.0, "amount_after_fees": 47.1, "currency": "usd"}
REFUND = {"id": "rfnd_1", "amount": 19.99, "currency": "usd", "status": "succeeded", "payment": {"id": "pay_1"}}
DISPUTE = {"id": "dspt_1", "amount": 49.0, "currency": "usd", "payment": {"id": "pay_1"}}


def books() -> dict[tuple[str, str], Money]:
    db.session.rollback()
    return {(entry.document_id, entry.kind): entry.money for entry in db.session.scalars(select(Entry))}


def mails(app: Flask) -> list[str]:
    return [path.read_text() for path in Path(app.config["OUTBOX"]).glob("*.eml")]


def opens(app: Flask, key: str = "CELLO-7F3A-91BC") -> list[str]:
    answer = app.test_client().post("/license", data={"key": key}).json
    assert answer is not None
    courses: list[str] = answer["courses"]
    return courses


def dollars(amount: str) -> Money:
    return Money(amount, "usd")


def test_a_membership_gives_access_and_its_end_takes_it(app: Flask, staff: FlaskClient, whop: WhopTestClient) -> None:
    whop.deliver(MembershipActivated, data=MEMBERSHIP)
    assert opens(app) == [], "Whop has its answer, and no worker has run"
    whop.work()
    assert opens(app) == ["prod_1"]
    assert "1 person has access" in staff.get("/").text

    whop.deliver(MembershipDeactivated, data={**MEMBERSHIP, "status": "expired"})
    whop.work()
    assert opens(app) == []
    assert "0 people have access" in staff.get("/").text
    whop.assert_nothing_failed()


def test_a_late_activation_does_not_give_back_what_was_taken(app: Flask, whop: WhopTestClient) -> None:
    earlier = NOON - timedelta(days=9)
    whop.deliver(MembershipUpdated, data={**MEMBERSHIP, "status": "canceled", "updated_at": NOON.isoformat()})
    whop.deliver(MembershipActivated, data={**MEMBERSHIP, "updated_at": earlier.isoformat()})
    whop.work()
    assert opens(app) == []


@pytest.mark.parametrize("status", ["canceled", "expired", "drafted", "a word that Whop added today"])
def test_no_other_status_gives_access(app: Flask, whop: WhopTestClient, status: str) -> None:
    whop.deliver(MembershipUpdated, data={**MEMBERSHIP, "status": status})
    whop.work()
    assert opens(app) == []


def test_what_is_no_license_key_opens_nothing(app: Flask, whop: WhopTestClient) -> None:
    whop.deliver(MembershipActivated, data={**MEMBERSHIP, "license_key": None})
    whop.work()
    for key in ("", "CELLO", "None"):
        assert opens(app, key) == []


def test_a_pinned_webhook_tells_the_name_with_the_payment(staff: FlaskClient, whop: WhopTestClient) -> None:
    whop.deliver(PaymentSucceeded, pin=PIN, data={"customer_email": "ada@example.com"})
    whop.deliver(MembershipActivated, pin=PIN)
    whop.work()
    page = staff.get("/").text
    assert "ada@example.com" in page
    assert "1 person has access" in page


def test_a_course_is_called_as_its_product_is(staff: FlaskClient, whop: WhopTestClient) -> None:
    whop.deliver(MembershipActivated, data=MEMBERSHIP)
    whop.work()
    whop.deliver(ProductUpdated, data={"id": "prod_1", "title": "Cello for <everybody>"})
    whop.work()
    whop.deliver(MembershipUpdated, data=MEMBERSHIP)  # with the title of its time
    whop.work()
    assert "Cello for &lt;everybody&gt;" in staff.get("/").text


@pytest.mark.parametrize("pin", [None, PIN])
def test_a_payment_is_booked_to_the_cent_with_its_fees(whop: WhopTestClient, pin: str | None) -> None:
    share = 47.1 if pin is None else {"amount": "47.10", "currency": "usd"}
    total = 49.0 if pin is None else {"amount": "49.00", "currency": "usd"}
    whop.deliver(PaymentSucceeded, pin=pin, data={"id": "pay_1", "total": total, "amount_after_fees": share})
    whop.work()
    assert books() == {("pay_1", "payment"): dollars("49.00"), ("pay_1", "fees"): dollars("-1.90")}
    assert sum(books().values()) == dollars("47.10")


def test_a_payment_that_is_told_twice_is_booked_once(whop: WhopTestClient) -> None:
    for _ in range(2):  # replayed with a new id
        whop.deliver(PaymentSucceeded, data=PAYMENT)
    whop.work()
    assert sum(books().values()) == dollars("47.10")


def test_a_refund_may_come_before_its_payment(whop: WhopTestClient) -> None:
    whop.deliver(RefundUpdated, data=REFUND)
    whop.work()
    assert books() == {("rfnd_1", "refund"): dollars("-19.99")}
    whop.deliver(PaymentSucceeded, data=PAYMENT)
    whop.work()
    assert sum(books().values()) == dollars("27.11")


def test_a_refund_counts_only_while_the_money_has_gone_back(whop: WhopTestClient) -> None:
    for event, status, booked in (
        (RefundCreated, "pending", {}),
        (RefundUpdated, "succeeded", {("rfnd_1", "refund"): dollars("-19.99")}),
        (RefundUpdated, "failed", {}),
    ):
        whop.deliver(event, data={**REFUND, "status": status})
        whop.work()
        assert books() == booked, status
        whop.clock.advance(60)


def test_a_dispute_takes_the_money_until_it_is_won(whop: WhopTestClient) -> None:
    taken = {("dspt_1", "dispute"): dollars("-49.00")}
    for status, booked in (
        ("warning_needs_response", {}),
        ("needs_response", taken),
        ("under_review", taken),
        ("won", {}),
    ):
        whop.deliver(DisputeUpdated, data={**DISPUTE, "status": status, "updated_at": whop.clock.now().isoformat()})
        whop.work()
        assert books() == booked, status
        whop.clock.advance(60)


def test_the_fee_for_a_dispute_is_booked_too(whop: WhopTestClient) -> None:
    fee = {"amount": "15.00", "currency": "usd"}
    whop.deliver(DisputeCreated, pin=PIN, data={**DISPUTE, "status": "lost", "fee": fee})
    whop.work()
    assert books() == {("dspt_1", "dispute"): dollars("-49.00"), ("dspt_1", "fees"): dollars("-15.00")}


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (PaymentSucceeded, {**PAYMENT, "total": None}),
        (PaymentSucceeded, {**PAYMENT, "total": "a lot"}),
        (PaymentSucceeded, {**PAYMENT, "amount_after_fees": {"amount": "45.10", "currency": "eur"}}),
        (DisputeUpdated, {**DISPUTE, "status": "a word that Whop added today"}),
        (MembershipActivated, {**MEMBERSHIP, "product": None}),
    ],
)
def test_what_the_shop_cannot_understand_is_left_to_a_person(
    app: Flask, whop: WhopTestClient, event: type[PaymentSucceeded], data: dict[str, object]
) -> None:
    whop.deliver(event, data=data)
    whop.work()
    whop.assert_failed(GiveUp)
    assert books() == {}


def test_the_books_are_kept_in_each_currency(staff: FlaskClient, whop: WhopTestClient) -> None:
    whop.deliver(PaymentSucceeded, data={**PAYMENT, "product": {"id": "prod_1"}})
    whop.deliver(
        PaymentSucceeded, data={**PAYMENT, "id": "pay_2", "currency": "jpy", "total": 700, "amount_after_fees": 650}
    )
    whop.deliver(RefundUpdated, data=REFUND)
    whop.work()
    shown = re.sub(r"<[^>]+>", "", staff.get("/").text)
    assert re.findall(r"Left(\S+ \w+)", shown) == ["650 JPY", "27.11 USD"]


def test_an_amount_is_never_rounded(app: Flask) -> None:
    db.session.add(
        Entry(document_id="pay_1", kind="payment", amount=Decimal("0.00001"), currency="usd", booked_at=NOON)
    )
    with pytest.raises(Exception, match="more than four decimals"):
        db.session.flush()


def test_a_new_member_gets_one_mail_with_the_license_key(app: Flask, whop: WhopTestClient) -> None:
    whop.deliver(MembershipActivated, data=MEMBERSHIP)
    whop.work()
    whop.deliver(MembershipActivated, data=MEMBERSHIP)  # it had lapsed
    whop.work()
    [mail] = mails(app)
    assert "To: ada@example.com" in mail
    assert "Subject: Welcome to Cello for beginners" in mail
    assert "Your license key: CELLO-7F3A-91BC" in mail


def test_the_mail_waits_for_the_address(app: Flask, whop: WhopTestClient) -> None:
    whop.deliver(MembershipActivated, pin=PIN)
    whop.work()
    assert mails(app) == []
    whop.deliver(PaymentSucceeded, pin=PIN, data={"customer_email": "ada@example.com"})
    whop.work()
    whop.clock.advance(60)
    whop.work()
    [mail] = mails(app)
    assert "To: ada@example.com" in mail


class MailServer:
    """Stands in for a mail server, and fails as it's told to."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.ids: list[str] = []

    @contextmanager
    def connect(self, host: str, timeout: float) -> Iterator[MailServer]:
        yield self

    def send_message(self, letter: EmailMessage) -> None:
        self.ids.append(letter["Message-ID"])
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def mail_server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> MailServer:
    server = MailServer()
    monkeypatch.setattr(smtplib, "SMTP", server.connect)
    app.config["MAIL_SERVER"] = "mail.example"
    return server


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionRefusedError(),
        smtplib.SMTPServerDisconnected(),
        smtplib.SMTPRecipientsRefused({"ada@example.com": (450, b"Try later")}),
    ],
)
def test_access_does_not_wait_for_the_mail_server_and_the_mail_stays_the_same(
    app: Flask, whop: WhopTestClient, mail_server: MailServer, fault: Exception
) -> None:
    mail_server.fault = fault
    whop.deliver(MembershipActivated, data=MEMBERSHIP)
    whop.work()
    assert opens(app) == ["prod_1"]
    mail_server.fault = None
    whop.clock.advance(timedelta(minutes=10))
    whop.work()
    first, second = mail_server.ids
    assert first == second


def test_an_address_that_does_not_exist_is_written_to_once(whop: WhopTestClient, mail_server: MailServer) -> None:
    mail_server.fault = smtplib.SMTPRecipientsRefused({"ada@example.com": (550, b"No such user")})
    whop.deliver(MembershipActivated, data=MEMBERSHIP)
    whop.work()
    whop.clock.advance(timedelta(hours=1))
    whop.work()
    assert len(mail_server.ids) == 1
    whop.assert_failed(GiveUp, receiver="welcome")


def test_the_pages_are_for_the_staff(app: Flask, staff: FlaskClient) -> None:
    stranger = app.test_client()
    assert stranger.get("/").location == "/login"
    assert "That isn't the password." in stranger.post("/login", data={"password": "guess"}).text
    assert stranger.get("/").location == "/login"

    assert staff.get("/").status_code == 200
    staff.post("/logout")
    assert staff.get("/").location == "/login"


def test_without_a_password_nobody_gets_in(app: Flask) -> None:
    app.config["STAFF_PASSWORD_HASH"] = ""
    client = app.test_client()
    client.post("/login", data={"password": ""})
    assert client.get("/").location == "/login"


def test_the_migrations_make_the_tables_that_the_models_and_flask_whop_need(app: Flask) -> None:
    assert app.test_cli_runner().invoke(args=["db", "check"]).exit_code == 0


def test_the_inbox_is_behind_the_login(app: Flask, staff: FlaskClient) -> None:
    answer = app.test_client().get("/whop/")
    assert (answer.status_code, answer.location) == (302, "/login")
    assert "Nothing has arrived yet" in staff.get("/whop/").text


def test_the_commands_of_the_readme_do_what_it_says(app: Flask, staff: FlaskClient) -> None:
    def flask(command: str) -> str:
        in_process = ["--in-process"] if "trigger" in command else []
        result = app.test_cli_runner().invoke(args=[*shlex.split(command), *in_process])
        assert result.exit_code == 0, result.output
        return result.output

    readme = Path(__file__).parents[1] / "README.md"
    upgrade, *triggers, deliveries = re.findall(r"^flask ([^&#\n]+?) *(?:#.*)?$", readme.read_text(), re.MULTILINE)
    flask(upgrade)
    for trigger in triggers:
        flask(trigger)
        flask("whop work --once")
    assert len(mails(app)) == 2
    page = staff.get("/").text
    assert "1 person has access" in page
    assert "\N{MINUS SIGN}49.00 USD" in page
    assert "dispute.updated" in flask(deliveries)
