"""The Python in the documentation runs, and prints what stands below it; links of the README lead somewhere."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from flask_whop import signals
from flask_whop.cli import COMMANDS, WhopCommands
from flask_whop.events import PaymentSucceeded
from flask_whop.testing import sample
from tests import ROOT
from tests.docs.pages import DOCS, PAGES, README, RECIPES, blocks_of, name_of, run

WITH_CODE = [page for page in PAGES if page not in RECIPES and blocks_of(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    signals.identity_profile_needs_action.connect(lambda app, event: None)
    run(page, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("pin", [None, "2026-10-15-1"])
def test_what_a_payment_prints_is_the_same_from_both_shapes(pin, whop, sender, capsys):
    [(code, output)] = blocks_of(DOCS / "guides/payloads.md")
    exec(code, {"whop": whop, "PaymentSucceeded": PaymentSucceeded})
    sender.send(sample("payment.succeeded", pin))
    assert capsys.readouterr().out == output


def test_what_one_shape_has_and_the_other_lacks_is_so():
    def has(event_type, pin, *path):
        value = sample(event_type, pin)["data"]
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value is not None

    recent = "2026-10-15-1"
    only_without = [
        ("payment.succeeded", "user", "email"),
        ("membership.activated", "user", "email"),
        ("membership.activated", "custom_field_responses"),
        ("identity_profile.needs_action", "email"),
        *(("payment.succeeded", name) for name in ("refunds", "disputes", "resolutions")),
    ]
    only_with = [
        ("payment.succeeded", "customer_email"),
        *(("payment.failed", name) for name in ("line_items", "holds")),
    ]
    assert [has(*each[:1], None, *each[1:]) for each in only_without] == [True] * len(only_without)
    assert [has(*each[:1], recent, *each[1:]) for each in only_without] == [False] * len(only_without)
    assert [has(*each[:1], None, *each[1:]) for each in only_with] == [False] * len(only_with)
    assert [has(*each[:1], recent, *each[1:]) for each in only_with] == [True] * len(only_with)


@pytest.mark.parametrize(
    "page", [README, README.with_name("CONTRIBUTING.md"), README.with_name("AGENTS.md")], ids=name_of
)
def test_links_and_paths_lead_to_files(page):
    text = page.read_text()
    paths = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) + re.findall(
        r"`((?:docs|tests|flask_whop|examples)/[\w./]+)`", text
    )
    assert paths
    assert [path for path in paths if not (page.parent / path).exists()] == []


def test_llms_txt_leads_to_pages_that_there_are():
    links = re.findall(r"\]\(([^)]+)\.html\)", (DOCS / "_extra/llms.txt").read_text())
    generated = "reference/generated/"
    assert len(links) > 20
    assert [link for link in links if not link.startswith(generated) and not (DOCS / f"{link}.md").exists()] == []


def test_the_lock_file_has_every_requirement_of_the_project():
    listed = re.findall(r'"([\w-]+)(?:\[\w+\])?>=', (ROOT / "pyproject.toml").read_text())
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    assert len(listed) > 25
    assert set(listed) - set(locked) == set()


ANNOUNCED = {"secret"} - set(COMMANDS)
"""Commands that pages may show before they're there."""


def commands_on(page):
    """The commands of flask whop that a page shows, in blocks and in sentences."""
    shown = re.findall(
        r"^(?:\S+ )*?flask (?:--app \w+ )?whop (\S.*?)(?: +#.*)?$|`flask whop (\S[^`]*)`",
        page.read_text(),
        re.MULTILINE,
    )
    return [shlex.split(block or sentence.replace("\n", " "), comments=True) for block, sentence in shown]


@pytest.mark.parametrize("page", [README, README.with_name("SECURITY.md"), *PAGES], ids=name_of)
def test_the_commands_that_a_page_shows_exist_with_their_options(page):
    for words in commands_on(page):
        command = WhopCommands()
        context = click.Context(command)
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            name = words.pop(0)
            if name in ANNOUNCED:
                words.clear()
                break
            command = command.get_command(context, name)
            assert command is not None, name
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        asked = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
        assert asked <= known, (command.name, asked - known)


def test_commands_are_found_on_the_pages():
    assert sum(len(commands_on(page)) for page in (README, *PAGES)) > 40
