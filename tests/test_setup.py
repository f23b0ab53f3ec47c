"""Setting up: an app with a usable secret and clear settings, or no app at all."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from threading import Thread

import click
import pytest
from flask import Blueprint, Flask
from flask_wtf import CSRFProtect
from packaging.requirements import Requirement
from werkzeug.serving import make_server

from flask_whop import ConfigError, FlaskWhopError, WhopWebhooks
from flask_whop.config import Settings
from flask_whop.engine.installation import Installation
from flask_whop.errors import SetupError
from flask_whop.testing import WhopTestClient
from tests import ROOT
from tests.shop import OTHER_SECRET, PATH, SECRET, Sender


@pytest.fixture(autouse=True)
def _nothing_is_kept_in_the_checkout(tmp_path, monkeypatch):
    """Let the instance folder of an app without a module of its own be one of the test's."""
    monkeypatch.chdir(tmp_path)


def set_up(**config):
    app = Flask("shop")
    app.config.update(config)
    WhopWebhooks(app)
    return app


@pytest.fixture(autouse=True)
def _no_secret_in_the_environment(monkeypatch):
    monkeypatch.delenv("WHOP_WEBHOOK_SECRET", raising=False)


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        (None, "not set"),
        ([], "not set"),
        ("", "empty"),
        ("   ", "empty"),
        ("ws_0123456789ab", "shorter than 16 bytes"),
        (SECRET + "\n", "white space"),
        (" " + SECRET, "white space"),
        (f'"{SECRET}"', "quotes"),
        (f"'{SECRET}'", "quotes"),
        ("fallback", "placeholder"),
        ("secret", "placeholder"),
        ("changeme", "placeholder"),
        ("test", "placeholder"),
        ("your-webhook-secret-here", "placeholder"),
        ("ws_your_webhook_secret", "placeholder"),
        ("WHOP_WEBHOOK_SECRET", "placeholder"),
        ("<paste the secret here>", "placeholder"),
        ("${WHOP_WEBHOOK_SECRET_VALUE}", "placeholder"),
        ("ws_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "placeholder"),
        ([SECRET, "test"], r"WHOP_WEBHOOK_SECRET\[1\] is a placeholder"),
        (7, "must be text"),
        (SECRET.encode(), "must be text"),
        ([SECRET, None], "must be text"),
    ],
)
def test_without_a_usable_secret_the_app_does_not_start_and_is_told_why(secret, word):
    with pytest.raises(ConfigError, match=word) as error:
        set_up(WHOP_WEBHOOK_SECRET=secret)
    assert "WHOP_WEBHOOK_SECRET" in str(error.value)
    assert isinstance(error.value, FlaskWhopError)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("secret", [SECRET + "\n", f'"{SECRET}"', [SECRET, "short_one_01234"]])
def test_the_message_never_repeats_the_secret(secret):
    with pytest.raises(ConfigError) as error:
        set_up(WHOP_WEBHOOK_SECRET=secret)
    assert SECRET not in str(error.value)
    assert "short_one_01234" not in str(error.value)


def test_the_secret_of_the_config_comes_before_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", OTHER_SECRET)
    assert Sender(set_up(), OTHER_SECRET).deliver("payment.succeeded").status_code == 200
    app = set_up(WHOP_WEBHOOK_SECRET=SECRET)
    assert Sender(app, OTHER_SECRET).deliver("payment.succeeded").status_code == 401
    assert Sender(app, SECRET).deliver("payment.succeeded").status_code == 200


def test_the_environment_may_hold_several_secrets(monkeypatch):
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", f"{SECRET},{OTHER_SECRET}")
    app = set_up()
    for secret in (SECRET, OTHER_SECRET):
        assert Sender(app, secret).deliver("payment.succeeded").status_code == 200


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("WHOP_WEBHOOK_TOLERANCE", value) for value in (0, -1, "300", True, None, float("inf"), float("nan"), 10**6)),
        *(("WHOP_WEBHOOK_MAX_BYTES", value) for value in (0, -1, "1", True, None, 1.5)),
        *(("WHOP_WEBHOOK_PATH", value) for value in ("hooks", "", None, 7, "/<hook>", "/a b", "/a?b", "/a#b")),
        *(("WHOP_ACCOUNTS", value) for value in (7, [None], {"biz_1": 1}, "", " ", "biz_…", "biz_", "biz_1,", [""])),
        *(("WHOP_ACCOUNTS", value) for value in ("acme", ["biz_1", "user_2"], ["biz_1,biz_2"], "biz_1;biz_2")),
        *((key, "/\udcff") for key in ("WHOP_WEBHOOK_PATH", "WHOP_STORE")),
        ("WHOP_WEBHOOK_PATH", "/hooks\x1b[2J"),
    ],
)
def test_an_unusable_setting_stops_the_app_with_its_name_and_what_it_has_to_be(key, value):
    with pytest.raises(ConfigError, match=f"{key} must be"):
        set_up(WHOP_WEBHOOK_SECRET=SECRET, **{key: value})


@pytest.mark.parametrize(
    "key", ["WHOP_ACCOUNTS", "WHOP_WEBHOOK_PATH", "WHOP_ENDPOINT", "WHOP_DISPATCH", "WHOP_KEEP_DAYS"]
)
def test_a_secret_or_a_password_in_the_wrong_setting_is_not_repeated(key):
    for value in (SECRET, f"mysql://shop:hunter2{'x' * 80}@db/shop {SECRET}"):
        with pytest.raises(ConfigError, match=f"{key} must be") as error:
            set_up(WHOP_WEBHOOK_SECRET=OTHER_SECRET, **{key: value})
        assert SECRET[3:] not in str(error.value)
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("separator", [",", ", ", " , "])
def test_settings_that_take_several_take_them_with_commas_wherever_they_come_from(monkeypatch, separator):
    monkeypatch.setenv("FLASK_WHOP_ACCOUNTS", separator.join(["biz_1", "biz_2"]))
    monkeypatch.setenv("FLASK_WHOP_WEBHOOK_SECRET", separator.join([SECRET, OTHER_SECRET]))
    monkeypatch.setenv("FLASK_WHOP_STORE", "memory://")
    app = Flask("shop")
    app.config.from_prefixed_env()
    WhopWebhooks(app)
    for secret in (SECRET, OTHER_SECRET):
        statuses = {
            account: Sender(app, secret).deliver("payment.succeeded", company_id=account).status_code
            for account in ("biz_1", "biz_2", "biz_3")
        }
        assert statuses == {"biz_1": 200, "biz_2": 200, "biz_3": 403}


def test_a_secret_that_is_no_text_stops_the_app(monkeypatch):
    with pytest.raises(ConfigError, match="WHOP_WEBHOOK_SECRET isn't UTF-8"):
        set_up(WHOP_WEBHOOK_SECRET=SECRET + "\udcff")
    monkeypatch.setitem(os.environb, b"WHOP_WEBHOOK_SECRET", SECRET.encode() + b"\xff")
    with pytest.raises(ConfigError, match="WHOP_WEBHOOK_SECRET isn't UTF-8"):
        set_up()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("WHOP_ACOUNTS", "WHOP_ACCOUNTS"),
        ("WHOP_TOLERANCE", "WHOP_WEBHOOK_TOLERANCE"),
        ("WHOP_PATH", "WHOP_WEBHOOK_PATH"),
        ("WHOP_SECRET", "WHOP_WEBHOOK_SECRET"),
        ("WHOP_DISPACH", "WHOP_DISPATCH"),
        ("WHOP_KEEP_PAYLOAD", "WHOP_KEEP_PAYLOADS"),
    ],
)
def test_a_key_that_is_no_setting_is_named_with_the_one_that_it_is_nearest_to(caplog, written, meant):
    app = set_up(WHOP_WEBHOOK_SECRET=SECRET, **{written: "x"})
    assert re.search(rf"{written}, .*{meant} is", caplog.text)
    told = app.test_cli_runner().invoke(args=["whop", "doctor"]).output
    assert re.search(rf"W004\n.*{written}, .*{meant} is", told)


def test_keys_of_others_and_settings_of_ours_are_not_remarked_upon(caplog):
    set_up(WHOP_WEBHOOK_SECRET=SECRET, WHOP_API_KEY="x", WHOP_APP_ID="x", WHOP_COMPANY_ID="x", WHOP_KEEP_DAYS=7, SHOP=1)
    assert caplog.text == ""


def test_a_setting_in_the_environment_that_nobody_reads_is_named(caplog, monkeypatch):
    monkeypatch.setenv("WHOP_DISPATCH", "worker")
    monkeypatch.setenv("WHOP_KEEP_DAYS", "40")
    set_up(WHOP_WEBHOOK_SECRET=SECRET, WHOP_KEEP_DAYS=30)
    assert "The environment has WHOP_DISPATCH, which isn't read from there" in caplog.text
    assert "WHOP_KEEP_DAYS" not in caplog.text


def test_no_secret_and_no_password_is_in_the_repr_of_what_holds_settings(app):
    app.config["WHOP_WEBHOOK_SECRET"] = [SECRET, OTHER_SECRET]
    settings = Settings.read({**app.config, "WHOP_STORE": "mysql://shop:hunter2@db/shop?passwd=hunter2"}, {})
    WhopWebhooks(app)
    installation = Installation.of(app)
    for shown in (repr(settings), repr(installation), repr(installation.verifier), repr(app.extensions)):
        assert "hunter2" not in shown
        assert SECRET not in shown
        assert OTHER_SECRET not in shown


def test_the_path_can_be_set():
    app = set_up(WHOP_WEBHOOK_SECRET=SECRET, WHOP_WEBHOOK_PATH="/hooks/")
    client = app.test_client()
    assert client.post("/hooks").status_code == client.post("/hooks/").status_code == 401
    assert client.post(PATH).status_code == 404


def test_an_app_that_matches_hosts_takes_deliveries_at_the_one_that_is_set():
    app = Flask("shop", host_matching=True, static_folder=None)
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_STORE="memory://", WHOP_WEBHOOK_HOST="Hooks.shop.example")
    WhopWebhooks(app).on("payment.succeeded", name="fulfil")(lambda app, event: None)
    client = app.test_client()
    for host, status in (("hooks.shop.example", 401), ("HOOKS.shop.example", 401), ("www.shop.example", 404)):
        assert client.post(PATH, base_url=f"https://{host}").status_code == status
    with WhopTestClient(app) as kit:
        assert kit.deliver("payment.succeeded").status == "processed"
    assert app.test_cli_runner().invoke(args=["whop", "trigger", "payment.succeeded", "--in-process"]).exit_code == 0
    with make_server("127.0.0.1", 0, app, threaded=True) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.port}{PATH}"
        assert app.test_cli_runner().invoke(args=["whop", "trigger", "payment.succeeded", "--url", url]).exit_code == 0
        server.shutdown()
    told = json.loads(app.test_cli_runner().invoke(args=["whop", "doctor", "--json"]).stdout)
    assert [one["id"] for check in told["checks"] for one in check["findings"]] == ["W202"]


@pytest.mark.parametrize(
    "host", ["", "https://shop.example", "shop.example/hooks", "<sub>.shop.example", 7, "a b", "é.example"]
)
def test_a_host_that_is_none_stops_the_app(host):
    app = Flask("shop", host_matching=True, static_folder=None)
    app.config.update(WHOP_WEBHOOK_SECRET=SECRET, WHOP_WEBHOOK_HOST=host)
    with pytest.raises(ConfigError, match="WHOP_WEBHOOK_HOST must be"):
        WhopWebhooks(app)


def test_a_host_is_needed_where_the_app_matches_hosts_and_only_there():
    app = Flask("shop", host_matching=True, static_folder=None)
    app.config["WHOP_WEBHOOK_SECRET"] = SECRET
    with pytest.raises(ConfigError, match="WHOP_WEBHOOK_HOST is not set"):
        WhopWebhooks(app)
    with pytest.raises(ConfigError, match="host_matching=True"):
        set_up(WHOP_WEBHOOK_SECRET=SECRET, WHOP_WEBHOOK_HOST="hooks.shop.example")


def test_a_second_registration_is_refused_with_advice(app, whop):
    with pytest.raises(SetupError, match="list of secrets"):
        WhopWebhooks(app)


@pytest.mark.parametrize("kind", ["blueprint", "extension", "command"])
def test_a_name_of_ours_that_is_taken_already_is_told_before_anything_is_changed(app, kind):
    if kind == "blueprint":
        app.register_blueprint(Blueprint("whop", "shop"))
    elif kind == "extension":
        app.extensions["whop"] = object()
    else:
        app.cli.add_command(click.Group("whop"))
    before = dict(app.extensions)
    with pytest.raises(SetupError, match=f"{kind} called whop"):
        WhopWebhooks(app)
    assert app.extensions == before
    assert app.test_client().post(PATH).status_code == 404


@pytest.mark.parametrize("how", [{}, {"name": "whop"}])
def test_a_blueprint_that_comes_later_and_is_called_like_ours_is_told_so_by_us(app, sender, how):
    theirs = Blueprint("theirs" if how else "whop", "shop")
    with pytest.raises(SetupError, match="blueprint called whop"):
        app.register_blueprint(theirs, **how)
    app.register_blueprint(theirs, name="other")
    assert set(app.blueprints) == {"whop", "other"}
    assert sender.deliver("payment.succeeded").status_code == 200


def test_an_extension_that_takes_our_key_later_breaks_nothing_of_ours(app, sender):
    app.extensions["whop"] = object()
    assert sender.deliver("payment.succeeded").status_code == 200
    assert app.test_cli_runner().invoke(args=["whop", "deliveries"]).exit_code == 0
    with pytest.raises(SetupError, match="already set up for this app"):
        WhopWebhooks(app)


def test_nothing_but_post_is_taken(app, whop):
    assert app.test_client().get(PATH).status_code == 405


@pytest.mark.parametrize("order", ["csrf first", "csrf last", "csrf last, by factory"])
def test_hazard_csrf_protection_lets_deliveries_through_whichever_came_first(app, order):
    app.config["SECRET_KEY"] = "for the tokens of forms"
    csrf = CSRFProtect()
    if order == "csrf first":
        csrf.init_app(app)
    WhopWebhooks(app)
    if order != "csrf first":
        csrf.init_app(app)

    @app.post("/form")
    def form():
        return "sent"

    assert Sender(app).deliver("payment.succeeded").status_code == 200
    assert app.test_client().post(PATH).status_code == 401
    assert app.test_client().post("/form").status_code == 400


def test_importing_the_package_imports_no_family_of_events_and_no_extra():
    code = (
        "import sys, flask_whop, flask_whop.signals; "
        "print(sorted(name for name in sys.modules if name.startswith('flask_whop.events.'))); "
        "extras = {'asgiref', 'flask_wtf', 'celery', 'opentelemetry', 'prometheus_client', 'sqlalchemy', 'whop_sdk'}; "
        "print(sorted({'pytest', *extras} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [
        str([f"flask_whop.events.{name}" for name in ("bodies", "envelope", "reading", "registry")]),
        "[]",
    ]


def test_importing_the_package_imports_neither_asyncio_nor_what_makes_models():
    code = (
        "import sys, flask, blinker, standardwebhooks; from pydantic import BaseModel; before = set(sys.modules); "
        "import flask_whop; print(sorted({'asyncio', 'pydantic.fields', 'pydantic.types'} & {*sys.modules} - before))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_the_names_that_are_imported_late_are_listed_with_the_others():
    from flask_whop import events

    assert {"AnyEvent", "Event", "Money", "Payload", "PaymentSucceeded", "parse_event"} <= {*dir(events)}
    assert events.UnknownEvent.payload_class is events.Event.payload_class is events.Payload


@pytest.mark.parametrize("name", ["config", "errors", "events", "signals", "stores", "testing"])
def test_a_public_module_is_there_once_the_package_is_imported(name):
    code = f"import flask_whop; print({name!r} in dir(flask_whop), flask_whop.{name}.__name__)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == f"True flask_whop.{name}\n"


def test_two_installations_are_never_equal_and_each_can_be_a_key(app, whop):
    found = Installation.of(app)
    assert {found: "shop"}[Installation.of(app)] == "shop"
    assert found != dataclasses.replace(found)


def test_no_release_with_a_known_hole_is_admitted_and_the_gate_tries_the_oldest_of_the_others():
    root = ROOT
    listed = re.findall(r'"([a-z-]+)(?:\[\w+\])?>=([\d.]+)', (root / "pyproject.toml").read_text())
    # CVE-2025-47278 in Flask's keys of sessions, CVE-2024-36039 in PyMySQL's quoting of keys.
    for name, sound in (("flask", (3, 1, 1)), ("pymysql", (1, 1, 1))):
        floors = [tuple(map(int, floor.split("."))) for found, floor in listed if found == name]
        assert floors, name
        assert all(floor >= sound for floor in floors), (name, floors)
    oldest = subprocess.run([sys.executable, root / ".ci/oldest"], capture_output=True, text=True, check=True).stdout
    assert {f"{name}=={floor}" for name, floor in listed if name in {"flask", "blinker", "pydantic"}} <= set(
        oldest.split()
    )
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", requirement) for requirement in oldest.split())


def test_the_extra_for_postgresql_can_be_installed_where_its_driver_has_no_wheel():
    needs = [Requirement(line) for line in requires("flask-whop") if line.startswith("psycopg")]
    for machine, extras in (
        ("armv7l", {()}),
        ("i686", {()}),
        ("x86", {()}),
        ("riscv64", {()}),
        ("x86_64", {(), ("binary",)}),
    ):
        where = {"extra": "postgresql", "platform_machine": machine}
        found = {tuple(sorted(one.extras)) for one in needs if one.marker.evaluate(where)}
        assert found == extras, machine
