"""What a log and a terminal show: one line for each text from outside, nothing to obey, and no secret."""

from __future__ import annotations

import builtins
import io
import json
import logging
import os
import pty
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask import Flask, got_request_exception
from flask_sqlalchemy import SQLAlchemy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_whop import ConfigError, GiveUp, RetryLater, WhopWebhooks, signals
from flask_whop.config import KEYS
from flask_whop.engine.installation import Installation
from flask_whop.stores import Arrival, Filter, Key, Receipt, ReceiptState, Settlement, State
from tests import examples
from tests.shop import OTHER_SECRET, SECRET, Sender, new_app

PASSWORD = "hunter2"
PRIVATE = "4929-1234-private"
FORGED = "ERROR:flask_whop:forged"
HOSTILE = (
    *(
        "\x1b[2J",
        "\x1b]0;owned\x07",
        "\x9b31m",
        "\x00",
        "\x7f",
        "\b" * 9,
        "\u202e",
        "\u2028",
        "\x85",
        "\ufeff",
        "\ud800",
    ),
    *("\n", "\r", "\r\n", "\v", "\f", f"\n{FORGED}", f"\r{FORGED}", f"\x85{FORGED}\u2029"),
    *(SECRET, OTHER_SECRET, f"mysql://shop:{PASSWORD}@db/shop", f"redis://:{PASSWORD}@db", "x" * 3000, "%s %d", "é→"),
)
texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), max_size=5).map("".join)
WORST = "".join(HOSTILE)


class Unwritable(Exception):
    def __str__(self):
        raise RuntimeError(WORST)


def check(text):
    """A text of one line or several, none of which is more, or does more, than it says."""
    for line in text.split("\n"):
        assert line.isprintable(), line
        assert not line.startswith(FORGED), text
    for private in (SECRET[3:], OTHER_SECRET[3:], PASSWORD, PRIVATE):
        assert private not in text


@contextmanager
def logged():
    """The records of the block, as the standard formatter writes them."""
    stream = io.StringIO()
    records = []

    class Kept(logging.StreamHandler):
        def emit(self, record):
            records.append(self.format(record))
            super().emit(record)

    handler, log = Kept(stream), logging.getLogger("flask_whop")
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


def make(dispatch="inline"):
    app = Flask("shop")
    app.testing = True
    app.config.update(WHOP_WEBHOOK_SECRET=[SECRET, OTHER_SECRET], WHOP_STORE="memory://", WHOP_DISPATCH=dispatch)
    return app, WhopWebhooks(app)


def chained(text):
    error = OSError(7, text)
    error.__cause__ = KeyError(text)
    error.__cause__.__context__ = SyntaxError(text, (text, 1, 1, text))
    return error


def grouped(text):
    group = getattr(builtins, "ExceptionGroup", lambda text, errors: errors[0])
    return group(text, [ValueError(text), group(text, [chained(text)])])


def raising(text):
    """Receivers that end in each way in which a receiver may."""
    errors = {
        "plainly": ValueError(text),
        "for good": GiveUp(text),
        "later": RetryLater(text),
        "in a chain": chained(text),
        "in a group": grouped(text),
        "in a class of its own": type(f"Odd{text!a}", (Exception,), {})(text),
        "unwritable": Unwritable(),
        "by leaving": SystemExit(text),
    }
    return {f"{name}{text}": partial(fail, error) for name, error in errors.items()}


def fail(error, app, event):
    raise error


def send(app, text):
    data = {"id": text, "secret": PRIVATE, "total": [text], "created_at": text, "user": {"name": PRIVATE}}
    body = {"id": text, "company_id": f"biz_{text}", "timestamp": text, "data": {**data, text: PRIVATE}}
    sender = Sender(app)
    for changed in ({"type": text}, {"type": "payment.succeeded"}, {"type": "refund.created"}, {text: text}):
        sender.send(json.dumps(body | changed).encode(), delivery_id=f"msg_{uuid4().hex}")
    client = app.test_client()
    names = ("HTTP_WEBHOOK_ID", "HTTP_WEBHOOK_TIMESTAMP", "HTTP_WEBHOOK_SIGNATURE", "HTTP_CONTENT_ENCODING")
    client.post("/webhooks/whop", data=b"\xff", environ_overrides=dict.fromkeys(names, text))


@settings(max_examples=examples(25))
@given(texts, st.sampled_from(["inline", "after_response", "worker"]))
@example(WORST, "inline")
@example(WORST, "after_response")
@example(WORST, "worker")
def test_no_line_of_the_log_is_more_than_one_line_or_shows_a_secret_whatever_comes(text, dispatch):
    app, whop = make(dispatch)
    app.debug = True
    for name, receiver in raising(text).items():
        whop.on("payment.*", "*", name=name)(receiver)

    def listen(*_, **__):
        raise ValueError(text)

    got_request_exception.connect(listen, app)
    for signal in (signals.receiver_failed, signals.delivery_received, signals.payload_drifted):
        signal.connect(listen, app)
    with logged() as records:
        send(app, text)
        if dispatch == "worker":
            app.test_cli_runner().invoke(args=["whop", "work", "--once"])
    assert len(records) > 20
    for record in records:
        check(record)
        message, *traceback = record.split("\n")
        assert message.startswith(("DEBUG:flask_whop:", "INFO:flask_whop:", "WARNING:flask_whop:", "ERROR:flask_whop:"))
        assert not traceback or "Traceback (most recent call last):" in traceback or "A receiver to copy" in message


@settings(max_examples=examples(25))
@given(texts)
@example(WORST)
def test_no_cell_of_a_terminal_is_more_than_one_line_or_shows_a_secret_whatever_came(text):
    app, whop = make()
    app.config[f"WHOP_ACCOUNTS{text[:3]}"] = text
    for name, receiver in raising(text).items():
        whop.on("payment.*", name=name)(receiver)
    send(app, text)
    store = Installation.of(app).store
    kept = store.find("shop", Filter(), 100)
    # As an older release, or another program, may have written it.
    key = Key("shop", "msg_old")
    store.accept(Arrival(key, text, text, text, None, None, 0, 0, b"{}"), 0.0)
    store.take(key, "token", 30.0)
    receipt = Receipt("old", ReceiptState.FAILED, 1, 0.0, 0.0, None, f"{text}\n{text}")
    store.record(key, "token", receipt, Settlement(State.DEAD))
    runner = app.test_cli_runner()

    def run(*arguments):
        output = runner.invoke(args=["whop", *arguments]).output
        check(output)
        return output

    assert len(run("deliveries").splitlines()) == len(kept) + 2
    for one in kept:
        assert f"account   {'biz_' if one.account_id else '-'}" in run("deliveries", "show", one.key.id)
        json.loads(run("deliveries", "show", one.key.id, "--json"))
    old = run("deliveries", "show", "msg_old").splitlines()
    assert all(
        line.startswith("    | ") for line in old[old.index("    called 1 time, last at 1970-01-01 00:00:00 UTC") + 1 :]
    )
    run("deliveries", "show", text or "none")
    run("deliveries", "replay", "--failed", "--yes")
    run("doctor")
    json.loads(run("doctor", "--json"))
    run("events", "payment.*")
    assert any(store.receipts(one.key) for one in kept)


@settings(max_examples=examples(100))
@given(texts, st.sampled_from([key for key in KEYS if key != "WHOP_STORE"]), st.booleans())
def test_no_error_about_a_setting_is_more_than_one_line_or_shows_a_secret(text, key, listed):
    app = Flask("shop")
    app.config.update({"WHOP_WEBHOOK_SECRET": SECRET, "WHOP_STORE": "memory://", key: [text] if listed else text})
    told = ""
    try:
        WhopWebhooks(app)
    except ConfigError as error:
        told = str(error)
    check(told)
    assert "\n" not in told


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_a_receiver_wanted_to_write_is_not_in_the_error_of_its_database(app, tmp_path, caplog, wrapped):
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/shop.sqlite3"
    db = SQLAlchemy(app)

    @WhopWebhooks(app).on("payment.succeeded")
    def keep(app, event):
        try:
            db.session.execute(sa.text("insert into orders values (:name)"), {"name": event.raw["data"]["name"]})
        except sa.exc.OperationalError as error:
            if wrapped:
                raise ValueError(f"No order: {error}") from None
            raise

    Sender(app).deliver("payment.succeeded", {"id": "pay_1", "name": PRIVATE}, id="msg_1")
    told = app.test_cli_runner().invoke(args=["whop", "deliveries", "show", "msg_1"]).output
    for shown in (caplog.text, told):
        check(shown)
        assert "no such table: orders" in shown
        assert "[parameters: left out]" in shown


def test_an_exception_stays_with_its_record_for_error_trackers(app, whop, caplog):
    error = ValueError("no mail today")

    @whop.on("payment.succeeded")
    def mail(app, event):
        raise error

    Sender(app).deliver("payment.succeeded")
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]
    assert "in mail\n    raise error\nValueError: no mail today" in caplog.text


def test_a_body_is_the_same_json_on_a_terminal_and_nothing_that_it_would_obey(tmp_path):
    app = new_app(tmp_path)
    WhopWebhooks(app)
    body = {"type": "payment.succeeded", "data": {"id": "pay_1", "name": "Zoë \x7f\x9b31m \u202e \U000e0001"}}
    sent = json.dumps(body, indent=1, ensure_ascii=False).replace("\n", "\r\n").encode()
    assert Sender(app).send(sent, delivery_id="msg_1").status_code == 200
    shown = app.test_cli_runner().invoke(args=["whop", "deliveries", "show", "msg_1", "--body"])
    assert shown.stdout_bytes == sent
    code = (
        "from flask import Flask\nfrom flask_whop import WhopWebhooks\n"
        f"app = Flask('shop', instance_path={str(tmp_path)!r})\nWhopWebhooks(app)\n"
    )
    (tmp_path / "shop.py").write_text(code)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "flask", "--app", "shop", "whop", "deliveries", "show", "msg_1", "--body"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "WHOP_WEBHOOK_SECRET": SECRET}, stdout=slave, check=True)
    os.close(slave)
    output = os.read(master, 10_000).decode()
    os.close(master)
    assert json.loads(output) == body
    check(output.replace("\r\n", "\n"))
    assert "Zoë" in output
