"""flask whop secret: a secret for development, before there is a webhook at Whop."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from dotenv import dotenv_values

from flask_whop import ConfigError, WhopWebhooks
from flask_whop.cli.secret import command
from flask_whop.testing import WhopTestClient
from tests import ROOT
from tests.services import only_in_the_gate
from tests.shop import SECRET, Sender, new_app

FORM = r"ws_[0-9a-f]{64}"


@pytest.fixture
def run():
    app = new_app(WHOP_STORE="memory://")
    WhopWebhooks(app)
    return lambda *arguments: app.test_cli_runner().invoke(args=["whop", "secret", *arguments])


def test_it_is_a_line_for_a_file_with_advice_beside_it(run):
    first, second = run(), run()
    assert re.fullmatch(rf"WHOP_WEBHOOK_SECRET={FORM}\n", first.stdout)
    assert first.stdout != second.stdout
    assert "belongs in .env" in first.stderr
    assert "--env-file .env writes it" in first.stderr


def test_an_app_starts_with_it_and_takes_what_it_signs(run):
    secret = run().stdout.strip().partition("=")[2]
    app = new_app(WHOP_WEBHOOK_SECRET=secret, WHOP_STORE="memory://")
    WhopWebhooks(app)
    assert Sender(app, secret).deliver("payment.succeeded").status_code == 200


def test_where_flask_reads_no_env_file_it_says_so(run, monkeypatch):
    assert "python-dotenv" not in run().stderr
    monkeypatch.setattr(f"{command.callback.__module__}.find_spec", lambda name: None)
    assert "pip install python-dotenv" in run().stderr


def test_it_is_written_where_it_is_told_to_and_then_kept(run, tmp_path):
    file = tmp_path / ".env"
    file.write_text("FLASK_APP=shop\nWHOP_WEBHOOK_SECRET=changeme\n")
    made = run("--env-file", str(file))
    secret = dotenv_values(file)["WHOP_WEBHOOK_SECRET"]
    assert re.fullmatch(FORM, secret)
    assert secret not in made.output
    assert "which is kept" in run("--env-file", str(file)).output
    assert dotenv_values(file) == {"FLASK_APP": "shop", "WHOP_WEBHOOK_SECRET": secret}
    assert json.loads(run("--env-file", str(file), "--json").stdout) == {"env_file": str(file), "written": False}


def test_nothing_is_written_unless_it_is_told_to(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(FORM, json.loads(run("--json").stdout)["secret"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        "whop",
        "whop secret",
        "whop --help",
        "--help",
        "",
        "--app shop whop secret --json",
        "-e .env -A shop --debug whop",
    ],
)
def test_the_app_loads_without_a_secret_for_our_commands_and_for_help(arguments, monkeypatch):
    assert loaded(arguments, None, monkeypatch).test_cli_runner().invoke(args=["whop", "secret"]).exit_code == 0


@pytest.mark.parametrize("arguments", ["run", "routes", "--app whop run", "shell whop", "-A whop db upgrade"])
def test_it_does_not_for_anything_else_and_the_error_names_the_command(arguments, monkeypatch):
    with pytest.raises(ConfigError, match="`flask whop secret` makes one for development"):
        loaded(arguments, None, monkeypatch)


def test_a_placeholder_keeps_the_app_from_every_command_but_this_one(monkeypatch):
    loaded("whop secret --env-file .env", "changeme", monkeypatch)
    with pytest.raises(ConfigError, match="is a placeholder"):
        loaded("whop events", "changeme", monkeypatch)


def test_a_secret_that_the_file_takes_from_elsewhere_is_kept(run, tmp_path):
    file = tmp_path / ".env"
    file.write_text("export WHOP_WEBHOOK_SECRET=${MY_SECRET}\n")
    assert json.loads(run("--env-file", str(file), "--json").stdout)["written"] is False
    assert file.read_text() == "export WHOP_WEBHOOK_SECRET=${MY_SECRET}\n"


def test_an_app_loaded_for_a_command_without_a_secret_takes_nothing(monkeypatch):
    app = loaded("whop secret", "changeme", monkeypatch)
    for secret in ("changeme", SECRET):
        assert Sender(app, secret).deliver("payment.succeeded").status_code == 401


def loaded(arguments, secret, monkeypatch):
    """An app as the flask command loads it."""
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    monkeypatch.delenv("WHOP_WEBHOOK_SECRET", raising=False)
    monkeypatch.setattr(sys, "argv", ["flask", *arguments.split()])
    app = new_app(WHOP_WEBHOOK_SECRET=secret, WHOP_STORE="memory://")
    WhopWebhooks(app)
    return app


def test_from_nothing_to_a_first_delivery(tmp_path):
    only_in_the_gate("starts processes")
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom flask_whop import WhopWebhooks\n"
        "def create_app():\n    app = Flask('shop')\n    WhopWebhooks(app)\n    return app\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WHOP_")}

    def flask(*arguments):
        how = {"env": environment | {"PYTHONPATH": str(ROOT)}, "cwd": tmp_path, "capture_output": True, "text": True}
        return subprocess.run([sys.executable, "-m", "flask", *arguments], check=False, **how)

    assert "Work with Whop's webhooks" in flask("--help").stdout
    assert "secret" in flask("whop", "--help").stdout
    assert "`flask whop secret` makes one" in flask("routes").stderr
    assert flask("whop", "secret", "--env-file", ".env").returncode == 0
    assert flask("routes").returncode == 0
    assert "200" in flask("whop", "trigger", "payment.succeeded", "--in-process").stdout


# Under test.


def test_an_app_under_test_needs_no_secret(monkeypatch, caplog):
    monkeypatch.delenv("WHOP_WEBHOOK_SECRET", raising=False)
    apps = [new_app(WHOP_WEBHOOK_SECRET=None, TESTING=True) for _ in range(2)]
    secrets = set()
    for app in apps:
        WhopWebhooks(app)
        with WhopTestClient(app) as kit:
            assert kit.deliver("payment.succeeded").status_code == 200
            assert kit.deliver("payment.succeeded", secret=SECRET, check=False).status_code == 401
        secrets.add(app.blueprints["whop"].installation.secret)
    assert len(secrets) == 2, "nobody can guess it"
    assert "only the test kit can sign deliveries" in caplog.text
    assert not any(secret in caplog.text for secret in secrets)


def test_a_secret_that_it_has_is_used(monkeypatch):
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", SECRET)
    app = new_app(WHOP_WEBHOOK_SECRET=None, TESTING=True)
    WhopWebhooks(app)
    assert Sender(app).deliver("payment.succeeded").status_code == 200


def test_an_unusable_one_is_refused_under_test_too():
    with pytest.raises(ConfigError, match="is a placeholder"):
        WhopWebhooks(new_app(WHOP_WEBHOOK_SECRET="changeme", TESTING=True))
