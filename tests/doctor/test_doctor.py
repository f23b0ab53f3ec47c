"""The signature doctor: what the log says when a delivery cannot be verified, and what it costs."""

from __future__ import annotations

import base64
import gc
import hashlib
import hmac
import http.client
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from weakref import WeakKeyDictionary

import pytest
from flask import Flask
from werkzeug.serving import make_server

from flask_whop import ConfigError, WhopWebhooks
from flask_whop.doctor.watch import DOCTOR
from flask_whop.testing import signed
from tests import ROOT
from tests.shop import OTHER_SECRET, PATH, SECRET

BODY = '{"id":"msg_1","type":"payment.succeeded","data":{"id":"pay_1","name":"Zoë"}}'.encode()


@pytest.fixture(autouse=True)
def _no_apps_of_other_tests(monkeypatch):
    """Their secrets would be tried as those of other apps of this process, which they are."""
    monkeypatch.setattr(DOCTOR, "_logged_at", WeakKeyDictionary())


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Served:
    """An app behind a real server, and what its log says."""

    def __init__(self, log, secret, middleware=None):
        self._log = log
        self.app = Flask("served")
        self.app.config.update(WHOP_WEBHOOK_SECRET=secret, WHOP_STORE="memory://")
        WhopWebhooks(self.app)
        if middleware:
            self.app.wsgi_app = middleware(self.app.wsgi_app)
        self._server = make_server("127.0.0.1", 0, self.app)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def post(self, data, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=30)
        try:
            connection.request("POST", PATH, data, headers)
            answer = connection.getresponse()
            self.answer = answer.read()
            return answer.status
        finally:
            connection.close()

    def get(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=30)
        try:
            connection.request("GET", PATH)
            return connection.getresponse().status
        finally:
            connection.close()

    @property
    def findings(self):
        """What the doctor has logged."""
        self.get()  # the server answers one by one, and is done with what came before
        return [record for record in self._log.records if record.msg.startswith("Why delivery")]

    def finding(self):
        """The one thing that the doctor has logged, by the name of the mistake, and its text."""
        [record] = self.findings
        assert record.levelno == logging.WARNING
        assert record.name == "flask_whop"
        return record.args[1], record.getMessage()

    def stop(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def serve(caplog):
    served = []
    caplog.set_level(logging.WARNING, "flask_whop")

    def serve(secret=SECRET, middleware=None):
        served.append(Served(caplog, secret, middleware))
        return served[-1]

    yield serve
    for one in served:
        one.stop()


@pytest.fixture(autouse=True)
def _rested(monkeypatch):
    gc.collect()  # the apps of other tests, whose secrets would be found to match
    monkeypatch.setattr(DOCTOR, "pace", 0.0)
    monkeypatch.setattr(DOCTOR, "_rests_until", 0.0)


def rewriting(change):
    """WSGI middleware that changes the body on its way."""

    def middleware(wsgi_app):
        def changed(environ, start_response):
            body = change(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            return wsgi_app(environ, start_response)

        return changed

    return middleware


def eating(wsgi_app):
    """WSGI middleware that reads the body and keeps it, where a server says that a body ends (as gunicorn does)."""

    def eat(environ, start_response):
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        environ["wsgi.input"].read()
        return wsgi_app(environ, start_response)

    return eat


# Each row of the table of what people get wrong.


@pytest.mark.parametrize(
    ("configured", "mistake"),
    [
        (b64(SECRET), "secret_base64"),
        ("whsec_" + b64(SECRET), "secret_base64"),
        (SECRET.removeprefix("ws_"), "secret_prefix"),
        (SECRET + "\u200b", "secret_blanks"),
        (f"\u201c{SECRET}\u201d", "secret_quoted"),
        ("apik_9dLq2vXw7TzR4mKp8sNc", "secret_not_whops"),
        ("the default of a variable that is not set", "secret_not_whops"),
    ],
)
def test_a_wrong_secret_is_named(serve, configured, mistake):
    served = serve(configured)
    assert served.post(**signed(BODY, SECRET)) == 401
    name, text = served.finding()
    assert name == mistake
    assert "ws_ and 64 hex digits" in text or "quotes" in text


@pytest.mark.parametrize("secret", [SECRET + "\n", SECRET + " ", f'"{SECRET}"', "fallback"])
def test_a_newline_quotes_and_a_fallback_stop_the_app_already(serve, secret):
    with pytest.raises(ConfigError, match=r"white space|quotes|placeholder"):
        serve(secret)


def test_the_secret_of_another_app_of_the_process_is_named(serve):
    other = Flask("other_shop")
    other.config.update(WHOP_WEBHOOK_SECRET=OTHER_SECRET, WHOP_STORE="memory://")
    WhopWebhooks(other)
    served = serve()
    served.post(**signed(BODY, OTHER_SECRET))
    name, text = served.finding()
    assert name == "secret_elsewhere"
    assert "the app 'other_shop'" in text


def test_a_secret_of_the_environment_that_the_configuration_hides_is_named(serve, monkeypatch):
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", OTHER_SECRET)
    served = serve()
    served.post(**signed(BODY, OTHER_SECRET))
    assert "the environment variable WHOP_WEBHOOK_SECRET" in served.finding()[1]


def test_a_secret_of_the_sandbox_under_another_key_is_named(serve):
    served = serve()
    served.app.config["WHOP_SANDBOX_SECRET"] = OTHER_SECRET
    served.post(**signed(BODY, OTHER_SECRET))
    assert "app.config['WHOP_SANDBOX_SECRET']" in served.finding()[1]


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (lambda body: json.dumps(json.loads(body)).encode(), "body_reserialised"),
        (lambda body: body.replace(b"\n", b"\r\n"), "body_line_endings"),
        (lambda body: body.rstrip(b"\n"), "body_ends"),
    ],
)
def test_a_body_that_is_changed_on_its_way_is_named(serve, change, mistake):
    served = serve(middleware=rewriting(change))
    body = BODY.replace(b",", b",\n") + b"\n" if mistake != "body_reserialised" else BODY
    assert served.post(**signed(body, SECRET)) == 401
    assert served.finding()[0] == mistake


def test_a_body_that_is_eaten_is_named(serve):
    served = serve(middleware=eating)
    assert served.post(**signed(BODY, SECRET)) == 400
    name, text = served.finding()
    assert name == "body_eaten"
    assert f"{len(BODY)} bytes" in text


def test_a_webhook_of_the_old_kind_is_named(serve):
    served = serve()
    seconds = int(time.time())
    digest = hmac.new(SECRET.encode(), b"%d." % seconds + BODY, hashlib.sha256).hexdigest()
    assert served.post(BODY, {"x-whop-signature": f"t={seconds},v1={digest}"}) == 401
    assert served.finding()[0] == "old_format"


@pytest.mark.parametrize(("shift", "mistake"), [(-1000, "clock_fast"), (1000, "clock_slow")])
def test_a_clock_that_is_off_is_named(serve, shift, mistake):
    served = serve()
    assert served.post(**signed(BODY, SECRET, timestamp=int(time.time()) + shift)) == 401
    assert served.finding()[0] == mistake


# What it does not do.


def test_a_plain_forgery_gets_no_diagnosis(serve):
    served = serve()
    assert served.post(**signed(BODY, OTHER_SECRET)) == 401
    assert served.post(BODY, {}) == 401
    assert served.post(BODY, {"x-whop-signature": f"t={int(time.time())},v1={'0' * 64}"}) == 401
    assert served.findings == []


def test_nothing_of_it_is_in_the_answer_and_no_secret_in_the_log(serve, caplog):
    served = serve(b64(SECRET))
    request = signed(BODY, SECRET)
    served.post(**request)
    named, served_alike = served.finding()[0], served.answer
    plain = serve()
    plain.post(**signed(BODY, OTHER_SECRET))
    assert served_alike == plain.answer
    assert named.encode() not in served_alike
    for private in (SECRET, b64(SECRET), request["headers"]["webhook-signature"], "pay_1"):
        assert private not in caplog.text


def test_the_same_finding_is_logged_once_in_a_while_and_another_one_at_once(serve):
    served = serve(b64(SECRET))
    for _ in range(3):
        served.post(**signed(BODY, SECRET))
    served.post(**signed(BODY, b64(SECRET), timestamp=int(time.time()) - 999))
    assert [record.args[1] for record in served.findings] == ["secret_base64", "clock_fast"]


@pytest.fixture
def looked_at(monkeypatch):
    """The requests that the doctor has looked at."""
    requests = []
    monkeypatch.setattr("flask_whop.doctor.watch.examine", lambda app, captured, now: requests.append(captured))
    return requests


def forged(app):
    return app.test_client().post(PATH, buffered=True, **signed(BODY, OTHER_SECRET))


def test_of_a_flood_one_is_looked_at_and_the_rest_is_let_go(app, whop, looked_at, monkeypatch):
    monkeypatch.setattr(DOCTOR, "pace", 3600.0)
    for _ in range(50):
        assert forged(app).status_code == 401
    assert len(looked_at) == 1


def test_of_requests_that_are_answered_at_the_same_time_one_is_looked_at(app, whop, looked_at, monkeypatch):
    monkeypatch.setattr(DOCTOR, "pace", 3600.0)
    answers = [app.test_client().post(PATH, **signed(BODY, OTHER_SECRET)) for _ in range(3)]
    assert looked_at == []
    for answer in answers:
        answer.close()
    assert len(looked_at) == 1


def test_when_it_has_rested_it_looks_again(app, whop, looked_at, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("flask_whop.doctor.watch.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(DOCTOR, "pace", 1.0)
    for _ in range(10):
        forged(app)
        clock[0] += 0.25
    assert len(looked_at) == 3


def test_no_two_are_looked_at_at_the_same_time_and_none_waits_for_its_turn(app, whop, monkeypatch):
    inside, go_on, looked_at = threading.Event(), threading.Event(), []

    def examine(app, captured, now):
        looked_at.append(captured)
        inside.set()
        assert go_on.wait(30)

    monkeypatch.setattr("flask_whop.doctor.watch.examine", examine)
    first = threading.Thread(target=forged, args=(app,))
    first.start()
    assert inside.wait(30)
    assert forged(app).status_code == 401
    assert len(looked_at) == 1
    go_on.set()
    first.join()


def test_it_looks_after_the_answer_and_without_a_thread(app, whop, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "flask_whop.doctor.watch.examine",
        lambda app, captured, now: seen.append((list(answered), threading.current_thread())),
    )
    answered = []
    threads = threading.active_count()
    answer = app.test_client().post(PATH, **signed(BODY, OTHER_SECRET))
    answered.append(answer.status_code)
    answer.close()
    assert seen == [([401], threading.current_thread())]
    assert threading.active_count() == threads


def test_it_keeps_nothing_of_what_it_has_let_go(app, whop, monkeypatch):
    monkeypatch.setattr(DOCTOR, "pace", 3600.0)
    forged(app)
    body = b'{"text":"' + b"x" * 60_000 + b'"}'
    forgery = signed(body, OTHER_SECRET)
    app.test_client().post(PATH, buffered=True, **forgery)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(50):
            app.test_client().post(PATH, buffered=True, **forgery)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 5 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fault", [MemoryError, RecursionError, KeyError])
def test_a_diagnosis_that_fails_harms_nobody_and_the_next_one_is_made(app, whop, caplog, monkeypatch, fault):
    def fail(app, captured, now):
        raise fault("no room")

    caplog.set_level(logging.DEBUG, "flask_whop")
    for _ in range(2):
        monkeypatch.setattr("flask_whop.doctor.watch.examine", fail)
        assert forged(app).status_code == 401
    assert caplog.text.count("couldn't be diagnosed") == 2


FORKED = """
import base64, logging, os, sys
from flask import Flask
from flask_whop import WhopWebhooks
from flask_whop.doctor.watch import DOCTOR
from flask_whop.testing import signed
from tests.shop import SECRET

logging.basicConfig(level="WARNING", stream=sys.stdout)
app = Flask("shop")
app.config.update(WHOP_WEBHOOK_SECRET=base64.b64encode(SECRET.encode()).decode(), WHOP_STORE="memory://")
WhopWebhooks(app)
deliver = lambda: app.test_client().post("/webhooks/whop", buffered=True, **signed(b'{"id":"msg_1"}', SECRET))
deliver()  # it rests now
with DOCTOR._lock:  # what a fork at the worst moment takes along
    child = os.fork()
if child == 0:
    for logged in DOCTOR._logged_at.values():
        logged.clear()
    print("in the child")
    deliver()
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_a_doctor_of_its_own():
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert "secret_base64" in ran.stdout.partition("in the child")[2]
