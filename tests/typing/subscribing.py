"""What type checkers must accept, and what they must refuse: an unused ignore is an error."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final, Literal

from flask import Flask
from pydantic import JsonValue
from typing_extensions import assert_type

from flask_whop import WhopWebhooks
from flask_whop.errors import Rejected
from flask_whop.events import (
    AnyEvent,
    Event,
    EventName,
    EventPattern,
    IdentityProfile,
    IdentityProfileNeedsAction,
    Money,
    Payload,
    Payment,
    PaymentCanceled,
    PaymentCreated,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    UnknownEvent,
    parse_event,
)
from flask_whop.signals.kinds import EventSignal
from flask_whop.signals import (
    delivery_rejected,
    identity_profile_needs_action,
    payment_failed,
    payment_succeeded,
    receiver_failed,
    unknown_event,
)

app = Flask("shop")
whop = WhopWebhooks(app)

assert_type(identity_profile_needs_action, EventSignal[IdentityProfileNeedsAction])
assert_type(payment_succeeded.event_class, type[PaymentSucceeded])


# Accepted: every shape of receiver.


@identity_profile_needs_action.connect
def ask_again(app: Flask, event: IdentityProfileNeedsAction, **extra: object) -> None:
    assert_type(event.data, IdentityProfile)
    assert_type(event.type, Literal["identity_profile.needs_action"])
    assert_type(event.account_id, str | None)
    for verification in event.data.verifications:
        assert_type(verification.session_url, str | None)
        assert_type(verification.created_at, datetime | None)


@payment_succeeded.connect
async def asynchronous(app: Flask, event: PaymentSucceeded) -> int:
    return 1


@payment_succeeded.connect_via(app)
def tied(app: Flask, *, event: PaymentSucceeded) -> None: ...


@payment_succeeded.connect
@payment_failed.connect
def both(app: Flask, event: PaymentSucceeded | PaymentFailed) -> int:
    assert_type(event.data, Payment)
    return 1


@whop.on(PaymentSucceeded)
def amounts(app: Flask, event: PaymentSucceeded) -> None:
    payment = event.data
    assert_type(payment.total, Money | None)
    if payment.total is not None:
        assert_type(payment.total.amount, Decimal)
        assert_type(payment.total.currency, str | None)
    assert_type(payment.user_id, str | None)
    assert_type(payment.paid_at, datetime | None)
    assert_type([dispute.amount for dispute in payment.disputes], list[Money | None])
    assert_type(event.changed("status"), bool)
    assert_type(event.previous_attributes, Mapping[str, JsonValue])


@whop.on(PaymentSucceeded, PaymentFailed)
def either(app: Flask, event: PaymentSucceeded | PaymentFailed) -> None: ...


@whop.on(PaymentSucceeded, PaymentFailed, name="by payload")
def by_payload(app: Flask, event: Event[str, Payment]) -> None: ...


@whop.on("payment.*", "refund.*")
def by_pattern(app: Flask, event: AnyEvent) -> None:
    assert_type(event.type, str)
    assert_type(event.data, Payload)


@whop.on("payment.succeeded")
def by_name(app: Flask, event: PaymentSucceeded) -> None: ...


@whop.on(PaymentSucceeded)
async def asynchronous_on(app: Flask, event: PaymentSucceeded, mailer: object = None) -> None: ...


@whop.on(PaymentSucceeded, PaymentFailed, name="kept", skip_stale=True, was="shop:kept")
def kept(app: Flask, event: PaymentSucceeded | PaymentFailed) -> None: ...


@whop.on("payment.*", was=("books", "shop:books"))
def renamed(app: Flask, event: AnyEvent) -> None: ...


@payment_succeeded.connect_via(app, name="of the app", skip_stale=True, was=["tied", "shop:tied"])
def tied_by_name(app: Flask, event: PaymentSucceeded) -> None: ...


@unknown_event.connect
def unknown(app: Flask, event: UnknownEvent) -> None: ...


@delivery_rejected.connect
def rejected(app: Flask, rejection: Rejected) -> None:
    assert_type(rejection.reason.status, int)


@receiver_failed.connect
def failed(app: Flask, event: AnyEvent, receiver: str, error: Exception) -> None: ...


class Shop:
    def fulfil(self, app: Flask, event: PaymentSucceeded) -> Awaitable[None]:
        raise NotImplementedError


def with_mailer(app: Flask, event: PaymentSucceeded, mailer: object) -> None: ...


payment_succeeded.connect(Shop().fulfil, weak=True)
payment_succeeded.connect(partial(with_mailer, mailer=None))
payment_succeeded.connect(lambda app, event: print(event.data.id), name="printer")
payment_succeeded.connect(both, name="both", skip_stale=True, was=("one", "other"))
with payment_succeeded.connected_to(lambda app, event: print(event.data.id)):
    assert_type(both(app, parse_event(b"{}")), int)


def matched(event: AnyEvent) -> None:
    match event:
        case PaymentSucceeded():
            assert_type(event.data, Payment)
        case IdentityProfileNeedsAction(data=profile):
            assert_type(profile, IdentityProfile)
        case _:
            pass


# Refused: the wrong event, and what could not be called.


def wrong_event(app: Flask, event: PaymentFailed) -> None: ...
def no_event(app: Flask) -> None: ...
def other_name(app: Flask, payment: PaymentSucceeded) -> None: ...
def too_much(app: Flask, event: PaymentSucceeded, mailer: object) -> None: ...
def event_first(event: PaymentSucceeded) -> None: ...


payment_succeeded.connect(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
payment_succeeded.connect(no_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
payment_succeeded.connect(other_name)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
payment_succeeded.connect(too_much)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
payment_succeeded.connect(event_first)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
payment_succeeded.connect("fulfil")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
payment_succeeded.connect_via(app)(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
payment_succeeded.connected_to(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
unknown_event.connect(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
delivery_rejected.connect(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
whop.on(PaymentSucceeded)(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
whop.on(PaymentSucceeded, PaymentFailed)(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
whop.on("payment.succeeded")(no_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
whop.on("payment.*")(event_first)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
whop.on(PaymentSucceeded, was=7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
payment_succeeded.connect(both, was=[7])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
payment_succeeded.connect_via(app, name="tied", was="tied")(wrong_event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
whop.on(Payment)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]


@payment_succeeded.connect  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def decorated(app: Flask, event: IdentityProfileNeedsAction) -> None: ...


def reads(event: PaymentSucceeded, profile: IdentityProfile) -> None:
    print(profile.emial)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    event.data = event.data  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# Conditions: they get the event of their receiver.


@whop.on(PaymentSucceeded, when=lambda event: event.data.plan_id == "plan_gold", accounts="biz_1")
def gold(app: Flask, event: PaymentSucceeded) -> None: ...


@whop.on(PaymentSucceeded, PaymentFailed, when=lambda event: event.data.total is not None, accounts=["biz_1", "biz_2"])
def priced(app: Flask, event: PaymentSucceeded | PaymentFailed) -> None: ...


@payment_succeeded.connect_via(app, when=lambda event: event.data.plan_id)
def planned(app: Flask, event: PaymentSucceeded) -> None: ...


def is_declined(event: PaymentFailed) -> bool:
    return True


@whop.on(PaymentFailed, when=is_declined)
def declined(app: Flask, event: PaymentFailed) -> None: ...


@whop.on(PaymentSucceeded, once_per=lambda event: event.data.id)
def once(app: Flask, event: PaymentSucceeded) -> None: ...


whop.on(PaymentSucceeded, when=is_declined)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
whop.on(PaymentSucceeded, PaymentFailed, when=is_declined)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
whop.on(PaymentSucceeded, once_per=lambda event: event.emial)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownLambdaType]
payment_succeeded.connect(amounts, when=is_declined)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Names and patterns: those that Whop has, and what is in a variable if that is said.

PAID: Final = "payment.succeeded"
BOOKED: tuple[EventName, ...] = ("payment.succeeded", "refund.created")


@whop.on(PAID, *BOOKED)
def by_constants(app: Flask, event: AnyEvent) -> None: ...


@whop.on("*", "*.created", "chat.message.*")
def by_usual_patterns(app: Flask, event: AnyEvent) -> None: ...


@whop.on(PaymentSucceeded, "refund.*", when=lambda event: event.data.id == "pay_1")
def by_class_and_pattern(app: Flask, event: AnyEvent) -> None: ...


@whop.on(PaymentSucceeded, PaymentFailed, "refund.*")
def by_two_classes_and_pattern(app: Flask, event: AnyEvent) -> None: ...


@whop.on(PaymentSucceeded, PaymentFailed, PaymentPending, "refund.*")
def by_three_classes_and_pattern(app: Flask, event: AnyEvent) -> None: ...


@whop.on(PaymentSucceeded, PaymentFailed, PaymentPending, PaymentCreated, PaymentCanceled)
def by_five_classes(app: Flask, event: AnyEvent) -> None: ...


def connect_all(names: list[str], classes: list[type[AnyEvent]]) -> None:
    whop.on(*map(EventPattern, names))
    whop.on(EventPattern("payment.s*"))
    whop.on(*classes)
    whop.on(names[0])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


whop.on("payment.suceeded")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
whop.on("payments.*")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
whop.on(PaymentSucceeded, "payment.suceeded")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
whop.on("payment.succeeded", "payment.suceeded")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
