"""The guide to samples says what is so: its table of scenarios, its test, and what its command prints."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone

import pytest

from flask_whop import WhopWebhooks
from flask_whop.events.samples.scenarios import played, scenarios
from flask_whop.testing import WhopTestClient
from tests import ROOT
from tests.shop import new_app

GUIDE = (ROOT / "docs" / "guides" / "samples.md").read_text(encoding="utf-8")
BEGAN = datetime(2026, 11, 2, 10, tzinfo=timezone.utc)
ROWS = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", GUIDE, re.MULTILINE))


def told(name):
    return played(name, None, "x", BEGAN, {})


def test_every_scenario_is_in_the_table_and_no_other():
    assert list(ROWS) == list(scenarios())


@pytest.mark.parametrize("name", scenarios())
def test_the_table_says_what_happens_and_when(name):
    about, events = ROWS[name].split(" | ")
    assert about == scenarios()[name]
    before = [body["type"] for _, body in told("purchase")] if events.startswith("a purchase;") else []
    assert before + re.findall(r"`([\w.]+)`", events) == [body["type"] for _, body in told(name)]
    days = sorted({delivered.after.days for delivered in told(name)} - {0})
    spoken = [1 if day == "a day" else int(day) for day in re.findall(r"(?:after|and) (a day|\d+)", events)]
    assert spoken == days


def test_the_command_delivers_what_the_guide_shows():
    shown = re.findall(r"^([\w.]+) +\d{3}  ", GUIDE, re.MULTILINE)
    app = new_app(name="guide", WHOP_STORE="memory://")
    WhopWebhooks(app)
    result = app.test_cli_runner().invoke(args=["whop", "trigger", "--scenario", "refund", "--in-process", "--json"])
    assert [answer["event"] for answer in json.loads(result.output)] == shown


def test_the_test_in_the_guide_passes():
    [source] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names = {}
    exec(source, names)
    app = new_app(name="guide", WHOP_STORE="memory://")
    WhopWebhooks(app)
    with WhopTestClient(app) as whop:
        names["test_a_member_who_cancels_keeps_access_until_the_period_ends"](whop)
        assert whop.captured[0].data.user.email == "grace@example.com"
