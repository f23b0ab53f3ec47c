"""The README says what is: its code runs, and its commands print what stands below them."""

from __future__ import annotations

import ast
import importlib
import re
import shlex

import flask_whop
from flask_whop import WhopWebhooks, signals
from flask_whop.events import EVENT_TYPES, PaymentSucceeded
from tests import ROOT
from tests.docs.pages import PAGES, README, blocks_of, run
from tests.shop import SECRET, Sender, new_app

TEXT = README.read_text()


def test_the_quickstart_is_the_readmes_code():
    source = (ROOT / "examples/quickstart.py").read_text()
    docstring_end = ast.parse(source).body[0].end_lineno
    assert "\n".join(source.splitlines()[docstring_end:]).strip() == blocks_of(README)[0][0].strip()


def test_the_quickstart_works(monkeypatch, capsys, documented):
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", SECRET)
    quickstart = importlib.import_module("examples.quickstart")
    quickstart.app.testing = True
    assert Sender(quickstart.app).send(documented).status_code == 200
    assert capsys.readouterr().out == (
        "<string> Document image was too blurry to read. https://verify.stripe.com/session/abc123\n"
    )


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    signals.identity_profile_needs_action.connect(lambda app, event: None)
    run(README, tmp_path, monkeypatch, capsys)


def test_what_the_commands_print_is_what_stands_below_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    app = new_app(WHOP_STORE="memory://")
    WhopWebhooks(app).on(PaymentSucceeded, name="shop:fulfil")(lambda app, event: None)
    blocks = [
        block
        for page in (README, *PAGES)
        for block in re.findall(r"^```console\n\$ flask (.*?)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]
    assert len(blocks) >= 2
    for command, output in blocks:
        printed = app.test_cli_runner().invoke(args=shlex.split(command)).output
        assert anonymous(printed) == anonymous(output), command


def anonymous(output):
    """What is printed without what differs each time: ids, secrets, and how long it took."""
    return re.sub(r" +", " ", re.sub(r"msg_\w+|(?<=ws_)[0-9a-f]+…?|\d+\.\d", "…", output))


def test_it_counts_the_events():
    assert f"all {len(EVENT_TYPES)} events" in TEXT


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 160


def test_what_the_package_exports_is_in_the_readme():
    for name in flask_whop.__all__:
        assert name in TEXT, name
