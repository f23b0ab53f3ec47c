"""The generated pages of the reference name everything that there is."""

from __future__ import annotations

import re
import sys
from dataclasses import fields

import pytest

from flask_whop import signals
from flask_whop.cli import COMMANDS
from flask_whop.config import API_KEYS, KEYS, ApiSettings, Settings
from flask_whop.doctor.checkup import catalog
from flask_whop.doctor.diagnosis.mistakes import Mistake
from flask_whop.doctor.finding import Finding
from flask_whop.errors import Reason
from flask_whop.events import EVENT_TYPES, Payload, event_class
from flask_whop.signals.kinds import EventSignal, LifecycleSignal
from tests.docs.pages import DOCS


@pytest.fixture(scope="module")
def pages():
    """The generated pages, by their paths."""
    sys.path.insert(0, str(DOCS / "extensions"))
    try:
        from whop_reference.pages import pages
    finally:
        sys.path.remove(str(DOCS / "extensions"))
    return dict(pages())


def sections(text, level):
    """The sections of a page, by their headings."""
    parts = re.split(rf"^{'#' * level} (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_setting_is_there_with_its_default_and_what_its_docstring_says(pages):
    entries = re.findall(r"^```\{confval\} (\w+)\n:default: (.+)\n\n(.+)\n```", pages["settings.md"], re.MULTILINE)
    assert [key for key, *_ in entries] == [*KEYS, *API_KEYS]
    shown = {key: default for key, default, _ in entries}
    for keys, cls in [(KEYS, Settings), (API_KEYS, ApiSettings)]:
        for key, field in zip(keys, fields(cls), strict=True):
            if shown[key].startswith("`"):
                assert str(getattr(field.default, "value", field.default)).removesuffix(".0") == shown[key].strip("`")
            else:
                assert not field.default or key in {"WHOP_WEBHOOK_SECRET", "WHOP_ENDPOINT"}, key
    meanings = {key: meaning for key, _, meaning in entries}
    assert meanings["WHOP_WEBHOOK_PATH"] == "Where Whop delivers; a slash at the end makes no difference."


def test_each_event_has_a_row_with_its_signal_class_and_payload(pages):
    rows = re.findall(
        r"^\| \[`(.+?)`\]\(.+?\) \| `(\w+)` \| `(\w+)` \| \[`(\w+)`\]", pages["events/index.md"], re.MULTILINE
    )
    found = {
        signal.event_type: (name, signal.event_class.__name__, signal.event_class.payload_class.__name__)
        for name, signal in vars(signals).items()
        if isinstance(signal, EventSignal) and signal is not signals.unknown_event
    }
    assert {event: rest for event, *rest in rows} == {event: list(rest) for event, rest in found.items()}
    assert f"is known to send: {len(found)} of them." in pages["events/index.md"]


def test_each_event_has_a_section_and_each_payload_has_every_field(pages):
    written = {}
    for name, text in pages.items():
        if name.startswith("events/"):
            written |= sections(text, 3)
    assert set(EVENT_TYPES) <= set(written)
    payloads = {event_class(event_type).payload_class for event_type in EVENT_TYPES}
    assert Payload not in payloads
    for payload in payloads:
        rows = re.findall(r"^\| `(\w+)` \|", written[payload.__name__], re.MULTILINE)
        assert rows == list(payload.model_fields), payload


def test_each_field_has_a_type_that_people_read(pages):
    for name, text in pages.items():
        if name.startswith("events/") and name != "events/index.md":
            for kind in re.findall(r"^\| `\w+` \| (.*?) \|", text, re.MULTILINE):
                assert kind, name
                assert not re.search("None|Items|Timestamp", kind), (name, kind)


def test_each_signal_of_what_happens_is_there_with_what_it_is_sent_with(pages):
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", pages["signals.md"], re.MULTILINE)
    listed = {name: tuple(re.findall(r"\w+", sent)) for name, sent in rows}
    found = {
        name: tuple(signal._keywords) for name, signal in vars(signals).items() if isinstance(signal, LifecycleSignal)
    }
    assert listed == found


def test_each_command_has_a_section_with_an_example(pages):
    written = sections(pages["commands.md"], 2)
    assert set(written) == {f"flask whop {name}" for name in COMMANDS}
    assert [name for name, text in written.items() if "```sh\nflask whop" not in text] == []


def test_each_finding_has_an_anchor_of_its_id(pages):
    ids = [value.id for value in vars(catalog).values() if isinstance(value, Finding)]
    assert len(ids) > 30
    for finding_id in (*ids, *(mistake.value for mistake in Mistake)):
        assert f"({finding_id.lower()})=\n### {finding_id}\n" in pages["findings.md"], finding_id


def test_each_finding_says_something_before_its_gaps_are_filled(pages):
    for name, text in sections(pages["findings.md"], 3).items():
        what, _, rest = text.partition("**Why it matters.**")
        for part in (what, rest.partition("**Fix.**")[2].partition("\n\n")[0]):
            assert len(re.findall(r"\w+", re.sub(r"\*+[^*]*\*+", "", part))) > 2, name


def test_no_gap_of_a_finding_is_left(pages):
    assert re.findall(r"\{\w+[^}]*\}", pages["findings.md"].replace('{"task"', "").replace("{py:", "")) == []


def test_each_reason_of_a_rejection_is_there_with_its_status(pages):
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", pages["rejections.md"], re.MULTILINE)
    assert dict(rows) == {reason.value: str(reason.status) for reason in Reason}


def test_each_metric_of_the_dashboard_is_there(pages):
    text = "".join(path.read_text() for path in (DOCS / "monitoring").iterdir())
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bwhop_[a-z_]+\b", text)}
    assert used
    assert [name for name in used if f"`{name}`" not in pages["metrics.md"]] == []


def test_every_exception_is_in_the_tree(pages):
    from flask_whop import errors

    exceptions = [
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert [name for name in exceptions if name not in errors.__doc__] == []


def test_llms_txt_leads_to_generated_pages_that_there_are(pages):
    links = re.findall(r"\]\(reference/generated/([^)]+)\.html\)", (DOCS / "_extra/llms.txt").read_text())
    assert links
    assert [link for link in links if f"{link}.md" not in pages] == []
