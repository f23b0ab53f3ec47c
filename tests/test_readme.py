"""The README says what is: its code runs, and its tables name what there is."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from dataclasses import fields
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from celery import Celery
from flask import Flask

import flask_whop
from flask_whop import WhopWebhooks, signals
from flask_whop.cli import COMMANDS
from flask_whop.config import API_KEYS, KEYS, ApiSettings, Mode, Settings
from flask_whop.engine.celery import SWEEP
from flask_whop.events import PaymentSucceeded
from flask_whop.signals.kinds import EventSignal, LifecycleSignal
from flask_whop.testing import WhopTestClient, sample
from tests.shop import SECRET, Sender, new_app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def rows(*columns):
    """The rows of the table that has these columns."""
    head = re.escape("| " + " | ".join(columns) + " |")
    table = re.search(head + r"\n\|[-| ]+\|\n((?:\|.*\|\n)+)", README)[1]
    return [[cell.strip().strip("`") for cell in row.strip("|\n").split("|")] for row in table.splitlines()]


def test_the_quickstart_is_the_readmes_code():
    source = (ROOT / "examples/quickstart.py").read_text()
    docstring_end = ast.parse(source).body[0].end_lineno
    assert "\n".join(source.splitlines()[docstring_end:]).strip() == BLOCKS[0].strip()


def test_the_quickstart_works(monkeypatch, capsys, documented):
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", SECRET)
    quickstart = importlib.import_module("examples.quickstart")
    quickstart.app.testing = True
    assert Sender(quickstart.app).send(documented).status_code == 200
    assert capsys.readouterr().out == (
        "<string> Document image was too blurry to read. https://verify.stripe.com/session/abc123\n"
    )


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_the_other_code_of_the_readme_runs_and_prints_what_stands_right_below_it(number, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FLASK_WHOP_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", SECRET)
    app = new_app(WHOP_STORE="memory://")
    names = {"WhopWebhooks": WhopWebhooks, "whop": WhopWebhooks(app), "app": app, "__name__": "shop"}
    names |= {"PaymentSucceeded": PaymentSucceeded, "Flask": partial(Flask, instance_path=str(tmp_path))}
    exec(BLOCKS[number], names)
    if "create_app" in names:
        assert names["create_app"]().extensions["whop"] is names["whop"]
    if "create_shop" in names:
        assert Sender(names["create_shop"]()).deliver("payment.succeeded").status_code == 200
    if "add_sweep" in names:
        names["add_sweep"](celery := Celery())
        assert celery.conf.beat_schedule["whop"]["task"] == SWEEP
    signals.identity_profile_needs_action.connect(lambda app, event: None)
    with WhopTestClient(app) as kit:
        fixtures = {"client": app.test_client(), "app": app, "whop": kit}
        for test in [value for name, value in names.items() if name.startswith("test_")]:
            test(**{name: fixtures[name] for name in inspect.signature(test).parameters})
    if f"{BLOCKS[number]}```\n\n```text\n" in README:
        assert f"{BLOCKS[number]}```\n\n```text\n{capsys.readouterr().out}```" in README


@pytest.mark.parametrize("pin", [None, "2026-10-15-1"])
def test_what_a_payment_prints_is_the_same_from_both_shapes(pin, app, whop, sender, capsys):
    [block] = [block for block in BLOCKS if "fulfil_order" in block]
    exec(block, {"whop": whop, "PaymentSucceeded": PaymentSucceeded})
    sender.send(sample("payment.succeeded", pin))
    assert f"```text\n{capsys.readouterr().out}```" in README


def test_what_the_commands_print_is_what_stands_below_them(tmp_path):
    app = new_app(WHOP_STORE="memory://")
    WhopWebhooks(app).on(PaymentSucceeded, name="shop:fulfil")(lambda app, event: None)
    blocks = re.findall(r"^```console\n\$ flask (.*?)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    for command, output in blocks:
        printed = app.test_cli_runner().invoke(args=shlex.split(command)).output
        assert anonymous(printed) == anonymous(output), command


def anonymous(output):
    """What is printed without what differs each time: ids, and how long it took."""
    return re.sub(r" +", " ", re.sub(r"msg_\w+|\d+\.\d", "…", output))


def test_each_command_is_in_the_table():
    assert {row[0].split()[2] for row in rows("command", "what it does")} == set(COMMANDS)


def test_each_event_is_in_the_table_with_its_signal_class_and_payload():
    listed = {
        event: (signal, cls, payload) for event, signal, cls, payload in rows("event", "signal", "class", "payload")
    }
    found = {
        signal.event_type: (name, signal.event_class.__name__, signal.event_class.payload_class.__name__)
        for name, signal in vars(signals).items()
        if isinstance(signal, EventSignal) and signal is not signals.unknown_event
    }
    assert listed == found
    assert f"all {len(found)} events" in README


TABLES = [
    (Settings, KEYS, ("key", "default", "meaning")),
    (ApiSettings, API_KEYS, ("key of the API", "default", "meaning")),
]


@pytest.mark.parametrize(("settings", "keys", "columns"), TABLES)
def test_the_tables_of_settings_are_what_their_docstrings_and_defaults_say(settings, keys, columns):
    [definition] = ast.parse(inspect.getsource(settings)).body
    docstrings = [
        " ".join(below.value.value.replace("``", "`").split())
        for above, below in pairwise(definition.body)
        if isinstance(above, ast.AnnAssign)
    ]
    table = rows(*columns)
    assert [f"`{key}`: {meaning}" for key, _, meaning in table] == docstrings
    assert tuple(key for key, *_ in table) == keys
    for (key, default, _), field in zip(table, fields(settings), strict=True):
        if key in IN_WORDS:
            assert default == IN_WORDS[key], key
        else:
            value = field.default.value if isinstance(field.default, Mode) else field.default
            assert default == (f"{value:.10g}" if isinstance(value, float) else str(value)), key


IN_WORDS = {
    "WHOP_WEBHOOK_SECRET": "required",
    "WHOP_WEBHOOK_HOST": "none",
    "WHOP_ACCOUNTS": "all",
    "WHOP_ENDPOINT": "the app's name",
    "WHOP_CELERY_QUEUE": "Celery's own routing",
    "WHOP_MOST_DUE": "no limit",
    "WHOP_HEALTH_PATH": "none",
    "WHOP_KEEP_PAYLOAD_DAYS": "as the rest",
    "WHOP_API_KEY": "none",
    "WHOP_API_URL": "none",
    "WHOP_PUBLIC_URL": "none",
}


def test_each_lifecycle_signal_is_in_the_table_with_what_it_is_sent_with():
    listed = {signal: tuple(re.findall(r"\w+", sent)) for signal, sent, _ in rows("signal", "sent with", "when")}
    found = {
        name: tuple(signal._keywords) for name, signal in vars(signals).items() if isinstance(signal, LifecycleSignal)
    }
    assert listed == found


def test_what_the_package_exports_is_in_the_readme():
    for name in flask_whop.__all__:
        assert name in README, name
