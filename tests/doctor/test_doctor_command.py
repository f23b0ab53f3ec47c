"""``flask whop doctor``: what is wrong with an app, and why a request fails."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flask import Flask, abort, got_request_exception, redirect, request
from flask_wtf import CSRFProtect
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_whop import WhopWebhooks, signals
from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.finding import Finding
from flask_whop.engine.installation import Installation
from flask_whop.stores import Arrival, Key, Receipt, ReceiptState, Settlement, State
from flask_whop.stores.sqlite import SqliteStore
from flask_whop.testing import WhopTestClient, sample, signed
from tests import ROOT
from tests.shop import OTHER_SECRET, SECRET, Sender, new_app


@pytest.fixture(autouse=True)
def _no_secret_in_the_environment(monkeypatch):
    monkeypatch.delenv("WHOP_WEBHOOK_SECRET", raising=False)


@pytest.fixture
def shop(tmp_path):
    """An app in which nothing is wrong, as a function that takes what is to be."""

    def make(**config):
        app = Flask("shop", instance_path=str(tmp_path))
        app.config.update({"WHOP_WEBHOOK_SECRET": SECRET, **config})
        whop = WhopWebhooks(app)
        app.ran = []
        whop.on("payment.*", "*", name="books")(lambda app, event, **extra: app.ran.append(event.type))
        return app

    return make


def doctor(app, *arguments, stdin=None):
    return app.test_cli_runner().invoke(args=["whop", "doctor", *arguments], input=stdin)


def diagnosed(app):
    """The exit status, and the findings by their ids."""
    ran = doctor(app, "--json")
    told = json.loads(ran.stdout)
    return ran.exit_code, {one["id"]: one["what"] for check in told["checks"] for one in check["findings"]}


def test_an_app_in_which_nothing_is_wrong_passes(shop):
    ran = doctor(shop())
    assert ran.exit_code == 0
    assert "Nothing is wrong." in ran.stdout
    assert "payment.affiliate_reward_created" in doctor(shop(), "--json").stdout


# Nothing of the app's runs, and nothing stays.


@pytest.mark.parametrize("dispatch", ["inline", "after_response", "worker", "celery"])
def test_no_receiver_is_called_and_nothing_stays_in_the_store(shop, dispatch):
    app = shop(WHOP_DISPATCH=dispatch)
    told = []
    signals.unknown_event.connect(lambda app, event: told.append("unknown"))
    signals.delivery_received.connect(lambda app, delivery: told.append("received"))
    signals.delivery_rejected.connect(lambda app, rejection: told.append("rejected"))
    signals.delivery_duplicated.connect(lambda app, delivery, event: told.append("duplicated"))
    store = Installation.of(app).store
    doctor(app)
    assert (app.ran, told) == ([], [])
    assert Installation.of(app).store is store
    for endpoint in ("shop", "flask_whop.doctor"):
        assert not any(store.stats(endpoint).counts.values())
    assert Sender(app).deliver("payment.succeeded").status_code == 200
    assert "received" in told


def test_hooks_of_the_app_are_as_they_were_afterwards(shop):
    app = shop()
    calls = []
    app.before_request(lambda: calls.append("before"))
    functions = list(app.before_request_funcs[None])
    doctor(app)
    assert app.before_request_funcs[None] == functions
    assert calls


# The secret.


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        (base64.b64encode(SECRET.encode()).decode(), "base64"),
        ("whsec_" + base64.b64encode(SECRET.encode()).decode(), "base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"),
        (SECRET[3:], "lost the ws_"),
        (SECRET + "\u200b", "something around"),
        ("apik_9dLq2vXw7TzR4mKp8sNc", "doesn't have the form"),
    ],
)
def test_a_secret_of_a_wrong_form_is_an_error_that_does_not_repeat_it(shop, secret, word):
    app = shop(WHOP_WEBHOOK_SECRET=secret)
    status, findings = diagnosed(app)
    assert status == 1
    assert word in findings["W001"]
    assert secret not in doctor(app).output


def test_of_several_secrets_the_wrong_one_and_the_doubled_one_are_named(shop):
    _, findings = diagnosed(shop(WHOP_WEBHOOK_SECRET=[SECRET, SECRET, SECRET[3:]]))
    assert "WHOP_WEBHOOK_SECRET[2]" in findings["W001"]
    assert "W002" in findings


def test_a_secret_of_the_environment_that_is_not_looked_at_is_a_warning(shop, monkeypatch):
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", OTHER_SECRET)
    status, findings = diagnosed(shop())
    assert (status, list(findings)) == (0, ["W003"])


# The way through the app.


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_hook_that_asks_for_a_login_is_named_whichever_redirect_it_uses(shop, code):
    app = shop()

    @app.before_request
    def require_login():
        return redirect("/login", code)

    status, findings = diagnosed(app)
    assert status == 1
    assert f"require_login answered {code}" in findings["W103"]
    assert "/login" in findings["W103"]


def test_a_hook_that_aborts_and_the_error_handler_behind_it_are_named(shop):
    app = shop()

    @app.before_request
    def require_token():
        if "authorization" not in request.headers:
            abort(403)

    @app.errorhandler(403)
    def to_login(error):
        return redirect("/login", 303)

    _, findings = diagnosed(app)
    assert "require_token answered 403; Whop sees 303" in findings["W103"]


def test_an_async_hook_is_watched_as_well(shop):
    app = shop()

    @app.before_request
    async def require_login():
        return "no", 403

    assert "require_login answered 403" in diagnosed(app)[1]["W103"]


def test_a_hook_that_fails_is_named_and_its_error_reported_to_nobody(shop):
    app = shop()

    reported = []
    got_request_exception.connect(lambda app, exception: reported.append(exception), app, weak=False)

    @app.before_request
    def broken():
        raise KeyError("user")

    assert "broken raised KeyError" in diagnosed(app)[1]["W103"]
    assert "Traceback" not in doctor(app).output
    assert reported == []


def test_csrf_protection_of_ones_own_is_named_as_such(shop):
    app = shop()

    @app.before_request
    def csrf_protect():
        if request.method == "POST":
            abort(400)

    assert "csrf_protect" in diagnosed(app)[1]["W112"]


def test_flask_wtf_is_no_finding(shop):
    app = shop(SECRET_KEY="for the tokens of forms")
    CSRFProtect(app)
    assert diagnosed(app) == (0, {})


def test_an_answer_that_is_changed_is_named(shop):
    app = shop()

    @app.after_request
    def teapot(response):
        response.status_code = 418
        return response

    assert "teapot turned 200 into 418" in diagnosed(app)[1]["W106"]


def test_failures_that_become_successes_are_an_error(shop):
    app = shop()

    @app.after_request
    def always_ok(response):
        response.status_code = 200
        return response

    status, findings = diagnosed(app)
    assert status == 1
    assert "409 becomes 200, 401 becomes 200" in findings["W107"]
    assert "always_ok" in findings["W107"]


def middleware(app, change):
    inner = app.wsgi_app

    def wrapped(environ, start_response):
        change(environ)
        return inner(environ, start_response)

    app.wsgi_app = wrapped


def test_middleware_that_eats_the_body_is_named(shop):
    app = shop()
    middleware(app, lambda environ: environ["wsgi.input"].read())
    assert "WSGI middleware (tests.doctor.test_doctor_command:middleware" in diagnosed(app)[1]["W104"]


def test_a_preprocessor_that_eats_the_body_is_named(shop):
    app = shop()

    @app.url_value_preprocessor
    def log_body(endpoint, values):
        request.stream.read()

    assert "log_body" in diagnosed(app)[1]["W104"]


def test_middleware_that_writes_the_body_again_is_named(shop):
    def again(environ):
        body = json.dumps(json.loads(environ["wsgi.input"].read())).encode()
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}

    app = shop()
    middleware(app, again)
    assert "parsed as JSON and written again" in diagnosed(app)[1]["W105"]


def test_middleware_that_drops_a_header_is_named(shop):
    app = shop()
    middleware(app, lambda environ: environ.pop("HTTP_WEBHOOK_SIGNATURE"))
    assert "headers_missing" in diagnosed(app)[1]["W105"]


def test_middleware_that_answers_by_itself_is_named(shop):
    app = shop()

    class Gate:
        def __call__(self, environ, start_response):
            start_response("403 Forbidden", [])
            return [b"no"]

    app.wsgi_app = Gate()
    assert "Gate) answers 403" in diagnosed(app)[1]["W113"]


def test_a_view_that_takes_the_path_is_named(tmp_path):
    app = new_app(tmp_path)

    @app.post("/webhooks/whop")
    def old_webhook():
        return "thanks"

    WhopWebhooks(app)
    assert "The view old_webhook gets" in diagnosed(app)[1]["W101"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_redirects_are_told_apart_by_what_whop_would_see(shop, scheme):
    app = shop()

    @app.before_request
    def canonical():
        if request.scheme == scheme:
            return redirect(f"https://www.example.com{request.path}", 308)
        return None

    status, findings = diagnosed(app)
    assert (status, list(findings)) == ((0, ["W110"]) if scheme == "http" else (1, ["W103"]))
    assert "www.example.com" in next(iter(findings.values()))


@pytest.mark.parametrize(
    "config", [{"SERVER_NAME": "shop.example"}, {"TRUSTED_HOSTS": [".shop.example"]}, {"APPLICATION_ROOT": "/shop"}]
)
def test_the_app_is_asked_for_under_its_own_name(shop, config):
    assert diagnosed(shop(**config)) == (0, {})


class Around:
    """WSGI middleware as most of it is."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


@pytest.mark.parametrize("config", [{}, {"APPLICATION_ROOT": "/shop"}])
@pytest.mark.parametrize("around", [lambda app: app, Around])
def test_an_app_that_mounts_itself_is_asked_for_where_it_is_mounted(shop, config, around):
    app = shop(**config)
    app.wsgi_app = around(DispatcherMiddleware(NotFound(), {"/shop": around(app.wsgi_app)}))
    assert app.test_client().post("/shop/webhooks/whop").status_code == 401
    assert diagnosed(app) == (0, {})
    assert "POST /shop/webhooks/whop: a signed request is answered 200" in doctor(app).stdout
    assert app.test_cli_runner().invoke(args=["whop", "trigger", "payment.succeeded", "--in-process"]).exit_code == 0
    with WhopTestClient(app) as kit:
        assert kit.deliver("payment.succeeded").status == "processed"


def test_a_mount_that_takes_the_path_is_named(shop):
    app = shop()
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/webhooks": NotFound()})
    assert "DispatcherMiddleware) answers 404" in diagnosed(app)[1]["W113"]


@pytest.mark.parametrize(
    "config",
    [
        {"SERVER_NAME": "internal.example", "TRUSTED_HOSTS": ["shop.example"]},
        {"SERVER_NAME": "shop.example", "TRUSTED_HOSTS": ["localhost", ".shop.example"]},
        {"TRUSTED_HOSTS": ["localhost", "shop.example"]},
    ],
)
def test_trusted_hosts_among_which_whop_finds_one_are_no_finding(shop, config):
    assert diagnosed(shop(**config)) == (0, {})


@pytest.mark.parametrize("hosts", [["localhost"], ["127.0.0.1", "localhost", "[::1]"], [".localhost"]])
def test_trusted_hosts_among_which_whop_finds_none_are_a_warning(shop, hosts):
    status, findings = diagnosed(shop(TRUSTED_HOSTS=hosts))
    assert (status, list(findings)) == (0, ["W114"])
    assert hosts[0] in findings["W114"]


def test_a_host_of_the_route_that_is_not_trusted_is_an_error(tmp_path):
    app = Flask("shop", instance_path=str(tmp_path), host_matching=True, static_folder=None)
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_WEBHOOK_HOST="hooks.example", TRUSTED_HOSTS=["shop.example"])
    WhopWebhooks(app)
    assert "TRUSTED_HOSTS doesn't list hooks.example" in diagnosed(app)[1]["W101"]


# Store, dispatch, receivers, clock.


def test_a_store_that_cannot_be_reached_is_an_error(shop, tmp_path):
    app = shop(WHOP_STORE="sqlite:///gone/whop.sqlite3")
    Installation.of(app).engine.use(SqliteStore(Path("/dev/null/whop.sqlite3")))
    status, findings = diagnosed(app)
    assert status == 1
    assert "can't be used" in findings["W201"]


def test_a_store_that_forgets_is_a_warning(shop):
    assert list(diagnosed(shop(WHOP_STORE="memory://"))[1]) == ["W202"]
    assert "TESTING" in diagnosed(shop(TESTING=True))[1]["W202"]


def test_deliveries_that_nobody_runs_are_an_error(shop):
    app = shop(WHOP_DISPATCH="worker")
    installation = Installation.of(app)
    assert Sender(app).deliver("payment.succeeded").json["status"] == "accepted"
    assert list(diagnosed(app)[1]) == ["W305"], "no worker has been seen, which is worth a note"
    now = time.time()
    installation.store.clock = lambda: now + 600
    status, findings = diagnosed(app)
    assert status == 1
    assert "due for 10 minutes" in findings["W301"]


def test_dead_letters_are_a_warning(shop):
    app = shop(WHOP_DISPATCH="worker", WHOP_RETRY_FOR=1)
    store = Installation.of(app).store
    key = Key("shop", "msg_1")
    store.accept(Arrival(key, "payment.succeeded", None, None, None, None, int(time.time()), 0, b"{}"), 0.0)
    assert store.take(key, "token", 30.0)
    store.settle(key, "token", Settlement(State.DEAD))
    assert diagnosed(app)[1]["W203"].endswith(": 1.")


def test_celery_that_is_not_set_up_is_an_error(shop):
    assert "W302" in diagnosed(shop(WHOP_DISPATCH="celery"))[1]


@pytest.mark.parametrize(("broker", "status"), [("memory://", 0), ("redis://127.0.0.1:1/0", 1)])
def test_a_broker_that_cannot_be_reached_is_an_error(shop, broker, status):
    from celery import Celery

    app = shop(WHOP_DISPATCH="celery")
    app.extensions["celery"] = Celery("shop", broker=broker, set_as_current=False)
    assert diagnosed(app)[0] == status


def test_celery_without_its_sweep_is_a_warning(shop):
    from celery import Celery

    app = shop(WHOP_DISPATCH="celery")
    celery = app.extensions["celery"] = Celery("shop", broker="memory://", set_as_current=False)
    celery.conf.beat_schedule = {"other": {"task": "shop.count", "schedule": 60.0}}
    assert list(diagnosed(app)[1]) == ["W304"]
    celery.conf.beat_schedule["whop"] = {"task": "flask_whop.sweep", "schedule": 60.0}
    assert diagnosed(app) == (0, {})


def test_a_sweep_that_is_added_when_celery_is_ready_is_seen(shop):
    from celery import Celery

    app = shop(WHOP_DISPATCH="celery")
    celery = app.extensions["celery"] = Celery("shop", broker="memory://", set_as_current=False)

    @celery.on_after_finalize.connect
    def add_sweep(sender, **extra):
        sender.add_periodic_task(60.0, sender.signature("flask_whop.sweep"))

    assert diagnosed(app) == (0, {})


def test_an_app_that_nobody_listens_in_gets_a_warning(tmp_path):
    app = new_app(tmp_path)
    WhopWebhooks(app)
    status, findings = diagnosed(app)
    assert (status, list(findings)) == (0, ["W401"])


def test_names_that_say_nothing_are_told(tmp_path):
    app = new_app(tmp_path)
    whop = WhopWebhooks(app)
    whop.on("refund.created")(lambda app, event: None)

    @whop.on("refund.updated")
    def local(app, event): ...

    status, findings = diagnosed(app)
    assert status == 0
    assert "<lambda>" in findings["W403"]
    assert "local" in findings["W404"]


@pytest.mark.parametrize("store", ["memory://", "sqlite:///whop.sqlite3"])
def test_receipts_of_names_that_nobody_has_or_had_are_told(shop, store):
    app = shop(WHOP_STORE=store)
    whop, installation = app.extensions["whop"], Installation.of(app)
    signals.unknown_event.connect(lambda app, event: None, app, name="signal", was=["former", "older"])
    kept = [f"shop:gone {number}" for number in range(7)] + ["books", "signal", "former", "older"]
    for number, name in enumerate(kept):
        key = Key(installation.engine.endpoint, f"msg_{number}")
        arrival = Arrival(key, "entry.created", None, None, None, None, int(time.time()), 0, b"{}")
        installation.store.claim(arrival, "token", 30.0)
        installation.store.record(key, "token", Receipt(name, ReceiptState.DONE, 1, 0.0, 0.0, None, None), None)
    status, findings = diagnosed(app)
    assert status == 0
    assert findings["W405"].endswith("shop:gone 0, shop:gone 1, shop:gone 2, shop:gone 3, shop:gone 4 and others.")
    assert 'was="shop:fulfil"' in doctor(app).stdout

    whop.on("entry.created", name="renamed", was=kept[:7])(lambda app, event: None)
    assert "W405" not in diagnosed(app)[1]


@pytest.mark.parametrize("now", [0, 86_400 * 365, 10**11])
def test_a_clock_that_cannot_be_right_is_an_error(shop, now):
    app = shop()
    Installation.of(app).verifier.clock = lambda: float(now)
    status, findings = diagnosed(app)
    assert status == 1
    assert "W501" in findings


def test_a_clock_that_the_last_deliveries_speak_against_is_an_error(shop):
    app = shop()
    for _ in range(3):
        body = {**sample("payment.succeeded"), "id": f"msg_{os.urandom(6).hex()}"}
        Sender(app).send(body, timestamp=int(time.time()) - 200)
    assert re.search(r"20\d seconds ahead", diagnosed(app)[1]["W501"])


def test_a_long_tolerance_is_a_warning(shop):
    assert list(diagnosed(shop(WHOP_WEBHOOK_TOLERANCE=86_400))[1]) == ["W502"]


# A captured request.


def capture(request, *, line=None, newline="\n", end=b""):
    """The text of a request, as somebody captures it."""
    headers = newline.join(
        ([line] if line else []) + [f"{name}: {value}" for name, value in request["headers"].items()]
    )
    return f"{headers}{newline}{newline}".encode() + request["data"] + end


BODY = b'{"id":"msg_1","type":"payment.succeeded","data":{"id":"pay_1"}}'


@pytest.mark.parametrize("line", [None, "POST /webhooks/whop HTTP/1.1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_good_captured_request_is_verified(shop, tmp_path, line, newline):
    file = tmp_path / "captured.txt"
    file.write_bytes(capture(signed(BODY, SECRET), line=line, newline=newline))
    ran = doctor(shop(), "--request", str(file))
    assert (ran.exit_code, ran.stdout) == (0, "The signature is good: this request is verified.\n")


def test_it_is_said_why_a_captured_request_fails(shop):
    stdin = capture(signed(BODY, SECRET))
    ran = doctor(shop(WHOP_WEBHOOK_SECRET=SECRET[3:]), "--request", "-", stdin=stdin)
    assert ran.exit_code == 1
    assert "secret_prefix" in ran.stdout
    assert "has lost its ws_" in ran.stdout
    assert SECRET[3:] not in ran.stdout


def test_it_is_said_for_programs_too(shop):
    ran = doctor(shop(), "--json", "--request", "-", stdin=capture(signed(BODY, SECRET), end=b"\n"))
    told = json.loads(ran.stdout)
    assert (ran.exit_code, told["reason"], told["diagnosis"]["id"]) == (1, "signature_mismatch", "body_ends")


def test_a_newline_that_the_editor_added_behind_the_announced_length_is_left_out(shop):
    good = signed(BODY, SECRET)
    good["headers"]["Content-Length"] = str(len(BODY))
    assert doctor(shop(), "--request", "-", stdin=capture(good, end=b"\n")).exit_code == 0


def test_a_captured_request_grows_old_unless_it_is_said_when_it_arrived(shop):
    old = int(time.time()) - 86_400
    stdin = capture(signed(BODY, SECRET, timestamp=old))
    ran = doctor(shop(), "--request", "-", stdin=stdin)
    assert ran.exit_code == 1
    assert "clock_fast" in ran.stdout
    assert "--at" in ran.stdout
    assert doctor(shop(), "--request", "-", "--at", str(old + 10), stdin=stdin).exit_code == 0


def test_of_a_forgery_it_is_said_that_no_known_mistake_explains_it(shop):
    ran = doctor(shop(), "--request", "-", stdin=capture(signed(BODY, OTHER_SECRET)))
    assert ran.exit_code == 1
    assert "No known mistake explains it" in ran.stdout


@pytest.mark.parametrize("raw", [b"", b"\n\n{}", b'{"id": 1}', b"\xff\xfe\x00", b"webhook-id msg_1\n\n{}"])
def test_what_is_no_captured_request_is_refused_with_what_it_has_to_be(shop, raw):
    ran = doctor(shop(), "--request", "-", stdin=raw)
    assert ran.exit_code == 1
    assert "an empty line, and the body" in ran.stderr
    assert "Traceback" not in ran.output


def test_options_that_do_not_go_together_are_refused(shop):
    assert doctor(shop(), "--at", "5").exit_code == 2
    assert doctor(shop(), "--request", "/nowhere/at/all").exit_code == 2


def test_its_help_ends_in_examples_one_a_line(shop):
    lines = doctor(shop(), "--help").stdout.splitlines()
    assert "    flask whop doctor --request captured.txt" in lines


# In a terminal, and piped.


@pytest.fixture
def project(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from flask import Flask, redirect\nfrom flask_whop import WhopWebhooks\n"
        f"app = Flask('shop', instance_path={str(tmp_path)!r})\nWhopWebhooks(app)\n"
        "@app.before_request\ndef require_login():\n    return redirect('/login')\n"
    )
    environment = {
        **os.environ,
        "WHOP_WEBHOOK_SECRET": SECRET,
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "COLUMNS": "60",
    }
    environment.pop("NO_COLOR", None)
    return {
        "args": [sys.executable, "-m", "flask", "--app=shop", "whop", "doctor"],
        "cwd": tmp_path,
        "env": environment,
    }


def test_piped_it_is_plain_text_with_one_line_for_each_part(project):
    ran = subprocess.run(**project, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "\x1b" not in ran.stdout
    assert [line for line in ran.stdout.splitlines() if line.startswith("  fix   Make the hook skip the route")]
    assert ran.stdout.splitlines()[-1] == "1 error, 1 warning"


def test_in_a_terminal_it_is_coloured_and_wrapped(project):
    ours, its = pty.openpty()
    with subprocess.Popen(**project, stdout=its, stderr=its, stdin=its) as process:
        os.close(its)
        output = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                output += os.read(ours, 65_536)
            except OSError:
                break
        process.wait(60)
    os.close(ours)
    text = output.decode()
    assert process.returncode == 1
    assert "\x1b[31m\x1b[1merror W103" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= 60
    assert [line for line in lines if re.match(r" {22}\S", line)], "what a check found goes on below itself"


def test_every_finding_of_the_catalog_has_its_name_as_its_id_and_says_what_why_and_the_fix():
    findings = {name: value for name, value in vars(catalog).items() if isinstance(value, Finding)}
    assert findings
    for name, finding in findings.items():
        assert finding.id == name
        assert all(text.endswith((".", "}")) for text in (finding.what, finding.why, finding.fix))
