"""The pages of the documentation and of the README, and a way to run the Python that is in them."""

from __future__ import annotations

import inspect
import json
import re
import sys
from types import ModuleType, SimpleNamespace

from celery import Celery
from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.engine.celery import SWEEP
from flask_whop.testing import WhopTestClient, sample
from tests import ROOT
from tests.shop import SECRET, Sender, new_app

DOCS = ROOT / "docs"
README = ROOT / "README.md"
GENERATED = DOCS / "reference/generated"
PAGES = sorted(page for page in DOCS.rglob("*.md") if GENERATED not in page.parents)
RECIPES = [page for page in PAGES if page.parent.name == "recipes"]


def blocks_of(page):
    """The blocks of Python on a page, each with the output that stands right below it, or None."""
    found = re.findall(
        r"^```python\n(.*?)^```(?:\n\n(?:prints .*?\n\n)?```text\n(.*?)^```)?",
        page.read_text(),
        re.DOTALL | re.MULTILINE,
    )
    return [(code, output or None) for code, output in found]


def name_of(page):
    """What a test calls a page."""
    return str(page.relative_to(ROOT))


def module(name, folder, code, monkeypatch, **given):
    """Run code as the module of this name, which others can import; its file is in ``folder``."""
    made = ModuleType(name)
    made.__file__ = str(folder / f"{name}.py")
    vars(made).update(given)
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(code, made.__file__, "exec"), vars(made))
    return made


def run(page, folder, monkeypatch, capsys):
    """Run the blocks of a page, one after the other, as a module called shop; check what they define and print."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FLASK_WHOP_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("WHOP_WEBHOOK_SECRET", SECRET)
    app = new_app(WHOP_STORE="memory://")
    shop = module("shop", folder, "", monkeypatch, app=app, whop=WhopWebhooks(app), Flask=Flask)
    names = vars(shop)
    names["__name__"] = f"page_{page.stem.replace('-', '_')}"  # receivers have names that no other test's have
    if page == DOCS / "guides/testing.md":
        _given_to_tests(names, folder)
    for code, output in blocks_of(page):
        before = dict(names)
        exec(compile(code, shop.__file__, "exec"), names)
        app = names["app"] if isinstance(names["app"], Flask) else app  # and not a fixture of that name
        _check({name: value for name, value in names.items() if before.get(name) is not value}, names, app)
        if output is not None and output not in ASKED_FOR:
            assert capsys.readouterr().out == output
    return shop


def _given_to_tests(names, folder):
    """What a reader of the page on tests has: a factory, receivers, and a recorded delivery."""
    warehouse = names["warehouse"] = SimpleNamespace(is_open=True)

    @names["whop"].on("*", name="everything")
    def everything(app, event):
        if not warehouse.is_open:
            raise OSError("The warehouse is closed.")

    app = names["app"]
    names["create_app"] = lambda _config: app
    kept = folder / "tests/deliveries/refund.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps(sample("refund.created")))


ASKED_FOR = [(DOCS / "guides/payloads.md").read_text().split("```text\n")[1].split("```")[0]]
"""What is printed for a delivery, which tests of their own make."""


def _check(made, names, app):
    """Check the functions that a block has defined: factories make apps that receive, and tests pass."""
    if "create_app" in made:
        assert names["create_app"]().extensions["whop"] is names["whop"]
    if "create_shop" in made:
        assert Sender(names["create_shop"]()).deliver("payment.succeeded").status_code == 200
    if "add_sweep" in made:
        names["add_sweep"](celery := Celery())
        assert celery.conf.beat_schedule["whop"]["task"] == SWEEP
    tests = [value for name, value in made.items() if name.startswith("test_")]
    if tests:
        with WhopTestClient(app) as kit:
            fixtures = {"client": app.test_client(), "app": app, "whop": kit, "warehouse": names.get("warehouse")}
            for test in tests:
                test(**{name: fixtures[name] for name in inspect.signature(test).parameters})
