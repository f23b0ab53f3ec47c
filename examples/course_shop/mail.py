"""The welcome mail: an effect outside the database, which no transaction can hold together with its receipt."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from examples.course_shop.models import Person, db
from examples.course_shop.webhooks import whop
from flask_whop import GiveUp, RetryLater
from flask_whop.events import MembershipActivated

PERMANENT = 500  # SMTP's codes from here on say that trying again won't help


# Once for each membership: it may lapse and be activated again.
@whop.on(MembershipActivated, once_per=lambda event: event.data.id)
def welcome(app: Flask, event: MembershipActivated) -> None:
    """Welcome a person to a course, with the license key if the product has one."""
    membership = event.data
    address = membership.user and membership.user.email
    if not address:  # webhooks with a version pin send it with the payment alone
        address = db.session.scalar(select(Person.email).where(Person.id == membership.user_id))
    if not address:
        raise RetryLater("The buyer's address hasn't come yet.", after=timedelta(minutes=1))
    title = (membership.product and membership.product.title) or "your course"
    letter = EmailMessage()
    # If the process dies before the receipt is written, the letter goes out twice, as one and the same letter.
    letter["Message-ID"] = f"<{event.idempotency_key(welcome)}@{app.config['MAIL_FROM'].partition('@')[2]}>"
    letter["From"], letter["To"] = app.config["MAIL_FROM"], address
    letter["Subject"] = " ".join(f"Welcome to {title}".split())
    key = f"\nYour license key: {membership.license_key}\n" if membership.license_key else ""
    letter.set_content(f"You now have access to {title}.\n{key}")
    send(app, letter)


def send(app: Flask, letter: EmailMessage) -> None:
    """Send a letter, or keep it in ``OUTBOX`` if there is no ``MAIL_SERVER``."""
    if not app.config["MAIL_SERVER"]:
        outbox = Path(app.config["OUTBOX"])
        outbox.mkdir(parents=True, exist_ok=True)
        (outbox / f"{letter['Message-ID'].strip('<>')}.eml").write_bytes(bytes(letter))
        return
    try:
        with smtplib.SMTP(app.config["MAIL_SERVER"], timeout=10) as server:
            server.send_message(letter)
    except smtplib.SMTPRecipientsRefused as error:
        if all(code >= PERMANENT for code, _ in error.recipients.values()):
            raise GiveUp("The mail server says that there is no such address.") from error
        raise RetryLater("The mail server takes no mail for this address now.", after=timedelta(minutes=10)) from error
    except (OSError, smtplib.SMTPException) as error:
        raise RetryLater("The mail server can't be reached.", after=timedelta(minutes=1)) from error
