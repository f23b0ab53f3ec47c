"""Setting up: an app with a usable secret and clear settings, or no app at all."""

from __future__ import annotations

import subprocess
import sys

import pytest
from flask import Flask
from flask_wtf import CSRFProtect

from flask_whop import ConfigError, FlaskWhopError, WhopWebhooks
from flask_whop.errors import SetupError
from tests.conftest import OTHER_SECRET, PATH, SECRET, Sender


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
        (7, "has to be text"),
        (SECRET.encode(), "has to be text"),
        ([SECRET, None], "has to be text"),
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
        *(("WHOP_ACCOUNTS", value) for value in (7, [None], {"biz_1": 1})),
    ],
)
def test_an_unusable_setting_stops_the_app_with_its_name_and_what_it_has_to_be(key, value):
    with pytest.raises(ConfigError, match=f"{key} has to be"):
        set_up(WHOP_WEBHOOK_SECRET=SECRET, **{key: value})


def test_the_path_can_be_set():
    app = set_up(WHOP_WEBHOOK_SECRET=SECRET, WHOP_WEBHOOK_PATH="/hooks/")
    client = app.test_client()
    assert client.post("/hooks").status_code == client.post("/hooks/").status_code == 401
    assert client.post(PATH).status_code == 404


def test_a_second_registration_is_refused_with_advice(app, whop):
    with pytest.raises(SetupError, match="list of secrets"):
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
        "print(sorted({'asgiref', 'flask_wtf', 'celery', 'sqlalchemy', 'pytest', 'whop_sdk'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [
        str([f"flask_whop.events.{name}" for name in ("envelope", "payload", "reading", "registry")]),
        "[]",
    ]
