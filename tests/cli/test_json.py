"""Every command speaks JSON to a script: one document, or a line for each delivery, and nothing else on its output."""

from __future__ import annotations

import json

import click
import pytest

from flask_whop import WhopWebhooks
from flask_whop.cli import WhopCommands
from tests.shop import Sender, new_app


@pytest.fixture
def shop(tmp_path):
    app = new_app(tmp_path, WHOP_DISPATCH="worker")
    whop = WhopWebhooks(app)
    whop.on("payment.succeeded", name="loud")(lambda app, event: print("aloud"))  # noqa: T201  # as receivers do
    Sender(app).deliver("payment.succeeded", id="msg_1")
    return app


def run(app, *arguments):
    return app.test_cli_runner().invoke(args=["whop", *arguments])


def commands(group, path=()):
    """Every command, with its path."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_every_command_takes_the_option():
    for path, command in commands(WhopCommands()):
        assert any("--json" in parameter.opts for parameter in command.params), path


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("work", "--once"), {"ran": 1, "counts": {"processed": 1}, "pulled": None}),
        (("prune", "--days", "7"), {"deleted": 0, "days": 7.0}),
        (("init-db",), {"ready": True, "tables": False}),
        (("deliveries", "replay", "msg_1"), [{"id": "msg_1", "what": "processed"}]),
        (("deliveries", "replay", "msg_1", "--dry-run"), [{"id": "msg_1", "what": None}]),
        (("deliveries", "replay", "--failed"), []),
        (("deliveries", "drop", "loud", "--yes"), {"receiver": "loud", "dropped": 1}),
        (("deliveries", "drop", "nobody"), {"receiver": "nobody", "dropped": 0}),
        (("deliveries", "erase", "msg_1", "--yes"), {"erased": 1}),
    ],
)
def test_what_it_did_is_one_document(shop, arguments, told):
    result = run(shop, *arguments, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == told


def test_a_delivery_that_fails_again_is_told_and_is_a_failure_of_the_command(shop):
    shop.extensions["whop"].on("payment.succeeded", name="broken")(lambda app, event: 1 / 0)
    result = run(shop, "deliveries", "replay", "msg_1", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, [{"id": "msg_1", "what": "retry_later"}])


@pytest.mark.parametrize("arguments", [("drop", "loud"), ("erase", "msg_1"), ("replay", "msg_1", "msg_1")])
def test_it_does_nothing_that_it_would_have_to_ask_for(shop, arguments):
    result = run(shop, "deliveries", *arguments, "--json")
    assert result.exit_code == 2
    assert "--json can't ask: pass --yes" in result.output
    [delivery] = json.loads(run(shop, "deliveries", "--json").stdout)
    assert delivery["state"] == "due"
