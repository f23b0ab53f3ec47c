"""flask whop trigger and flask whop events: any event, fired at the app with one command."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.cli.sending import over_http
from flask_whop.engine.posting import send
from flask_whop.events import EVENT_TYPES, event_class
from flask_whop.events.samples.scenarios import scenarios
from flask_whop.signature import signed
from flask_whop.stores import MemoryStore
from flask_whop.testing import sample
from tests import ROOT
from tests.crash.driver import wait_until
from tests.services import free_port, listens
from tests.shop import OTHER_SECRET, SECRET, Sender, new_app

PIN = "2026-10-15-1"

SERVER = """
import os
from flask import Flask
from flask_whop import WhopWebhooks

def create_app():
    app = Flask("shop")
    app.config.update(WHOP_WEBHOOK_SECRET=os.environ["SHOP_SECRET"], WHOP_STORE="memory://")
    whop = WhopWebhooks(app)

    @whop.on("*")
    def arrived(app, event):
        with open(os.environ["SHOP_ARRIVED"], "a") as file:
            file.write(f"{event.id} {type(event).__name__} {type(event.data).__name__} {len(event.drift)}\\n")
    return app
"""


class Shop:
    def __init__(self, **config):
        self.app = new_app(WHOP_STORE="memory://", **config)
        self.whop = WhopWebhooks(self.app)
        self.events = []
        self.whop.on("payment.succeeded", "refund.created", name="mail")(lambda app, event: self.events.append(event))

    def run(self, *arguments, **how):
        return self.app.test_cli_runner().invoke(args=["whop", *arguments], **how)

    def trigger(self, *arguments, **how):
        return self.run("trigger", *arguments, "--in-process", "--json", **how)


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A gunicorn that all the tests of this file deliver to."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "trigger_shop.py").write_text(SERVER)
    arrived = folder / "arrived"
    port = free_port()
    environment = os.environ | {"SHOP_ARRIVED": str(arrived), "SHOP_SECRET": SECRET}
    environment["PYTHONPATH"] = str(ROOT)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--threads=4", f"--bind=127.0.0.1:{port}", "trigger_shop:create_app()"],
            cwd=folder,
            env=environment,
            stderr=log,
        )

        wait_until(lambda: listens(port), "the server", (folder / "log").read_text)
        yield f"http://127.0.0.1:{port}/webhooks/whop", arrived
        process.send_signal(signal.SIGTERM)
        process.wait(20)


# Through a running server.


@pytest.mark.parametrize("pin", [None, PIN])
def test_every_event_in_both_shapes_is_delivered_to_a_running_server_received_and_typed(server, pin):
    url, arrived = server
    post = over_http(url)
    for number, event_type in enumerate(EVENT_TYPES):
        delivery_id = f"msg_{number}_{'pinned' if pin else 'unpinned'}"
        answer = send(signed(sample(event_type, pin) | {"id": delivery_id}, SECRET), post)
        assert (answer.code, answer.status) == (200, "processed"), event_type
        cls = event_class(event_type)
        assert f"{delivery_id} {cls.__name__} {cls.payload_class.__name__} 0\n" in arrived.read_text()


def test_the_command_delivers_to_a_running_server_and_shows_the_answers(server, shop):
    url, arrived = server
    result = shop.run("trigger", "payment.succeeded", "--url", url, "--times", "3", "--concurrent", "2")
    heading, *lines = result.output.splitlines()
    assert (result.exit_code, heading.split(), len(lines)) == (0, ["CODE", "STATUS", "MS", "ID"], 3)
    for line in lines:
        code, status, _, delivery_id = line.split()
        assert (code, status) == ("200", "processed")
        assert delivery_id in arrived.read_text()


def test_where_nothing_listens_it_says_what_to_do(shop):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/webhooks/whop"
    result = shop.run("trigger", "payment.succeeded", "--url", url)
    assert result.exit_code == 1
    assert "Start the app there (flask run)" in result.output
    assert "Traceback" not in result.output


def test_an_address_that_is_none_is_refused(shop):
    result = shop.run("trigger", "payment.succeeded", "--url", "localhost:5000")
    assert result.exit_code == 2
    assert "http://127.0.0.1:5000/webhooks/whop" in result.output


# Its options.


def test_in_process_the_app_of_the_command_receives_it(shop):
    result = shop.trigger("payment.succeeded")
    [answer] = json.loads(result.output)
    assert (result.exit_code, answer["code"], answer["status"]) == (0, 200, "processed")
    assert [event.id for event in shop.events] == [answer["delivery_id"]]


def test_each_event_has_an_id_of_its_own_and_a_duplicate_has_the_same(shop):
    answers = json.loads(shop.trigger("payment.succeeded", "--times", "3", "--duplicate").output)
    assert len({answer["delivery_id"] for answer in answers}) == len(shop.events) == 3
    assert sorted(answer["status"] for answer in answers) == ["duplicate"] * 3 + ["processed"] * 3


def test_each_event_is_about_a_resource_of_its_own(shop):
    shop.trigger("payment.succeeded", "--times", "20")
    shop.trigger("payment.succeeded", "--times", "20")
    for name in ("id", "user_id", "membership_id"):
        assert len({getattr(event.data, name) for event in shop.events}) == 40
    assert len({event.data.user.email for event in shop.events}) == 40
    assert len({event.data.plan_id for event in shop.events}) == 1


def test_a_seed_repeats_exactly(shop):
    for _ in range(2):
        assert shop.trigger("payment.succeeded", "--times", "3", "--seed", "monday").exit_code == 0
    assert len(shop.events) == 3  # the second time, they were duplicates
    others = Shop()
    others.trigger("payment.succeeded", "--times", "3", "--seed", "monday")
    assert [event.raw for event in others.events] == [event.raw for event in shop.events]
    others.trigger("payment.succeeded", "--seed", "tuesday")
    assert others.events[3].data.id not in [event.data.id for event in shop.events]


def test_what_is_set_is_so_in_each_event(shop):
    shop.trigger("payment.succeeded", "--times", "2", "--set", "data.id=pay_mine")
    assert [event.data.id for event in shop.events] == ["pay_mine", "pay_mine"]


def test_an_event_happens_when_it_is_signed(shop):
    shop.trigger("payment.succeeded", "--age", "200")
    [event] = shop.events
    age = datetime.now(timezone.utc) - event.timestamp
    assert timedelta(seconds=200) <= age < timedelta(seconds=290)
    assert event.data.created_at <= event.data.paid_at <= event.timestamp


# Scenarios.


@pytest.mark.parametrize("pin", [[], ["--pin", PIN]])
@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_delivers_its_events_in_order_up_to_now(shop, name, pin):
    arrived = []
    shop.whop.on("*", name="all")(lambda app, event: arrived.append(event))
    result = shop.trigger("--scenario", name, *pin)
    answers = json.loads(result.output)
    assert (result.exit_code, {answer["code"] for answer in answers}) == (0, {200})
    assert [answer["event"] for answer in answers] == [event.type for event in arrived]
    assert [event.timestamp for event in arrived] == sorted(event.timestamp for event in arrived)
    assert datetime.now(timezone.utc) - arrived[-1].timestamp < timedelta(seconds=60)
    assert not any(event.drift for event in arrived)


def test_scenarios_are_shown_with_their_events(shop):
    heading, first, *_ = shop.run("trigger", "--scenario", "purchase", "--in-process").output.splitlines()
    assert heading.split() == ["EVENT", "CODE", "STATUS", "MS", "ID"]
    assert first.split()[:3] == ["payment.created", "200", "unhandled"]


def test_several_scenarios_are_of_several_people_and_a_seed_repeats_them(shop):
    shop.trigger("--scenario", "refund", "--times", "3", "--seed", "x")
    payments, refunds = (
        [event.data for event in shop.events if event.type.startswith(kind)] for kind in ("pay", "ref")
    )
    assert len({payment.user_id for payment in payments}) == 3
    assert [refund.payment_id for refund in refunds] == [payment.id for payment in payments]
    others = Shop()
    others.trigger("--scenario", "refund", "--times", "3", "--seed", "x")
    assert [event.raw for event in others.events] == [event.raw for event in shop.events]


def test_what_is_set_in_a_scenario_is_so_wherever_the_thing_is(shop):
    shop.trigger("--scenario", "refund", "--set", "user.email=grace@example.com", "--set", "payment.total=12.5")
    payment, refund = shop.events[0].data, shop.events[-1].data
    assert (payment.user.email, str(payment.total)) == ("grace@example.com", "12.50 USD")
    assert (refund.payment.user.email, str(refund.payment.total)) == ("grace@example.com", "12.50 USD")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--scenario", "purchse"], "'purchase', 'trial', 'renewal-failed', 'refund', 'dispute', 'identity', 'churn'"),
        (["--scenario", "trial", "payment.succeeded"], "leave out TYPE and --body"),
        (["--scenario", "trial", "--body", "-"], "leave out TYPE and --body"),
        (["--scenario", "trial", "--set", "email=x"], "THING.FIELD=VALUE"),
        (["--scenario", "trial", "--set", "user.emial=x"], "Did you mean user.email"),
        ([], "Name the TYPE of an event, or a --scenario"),
    ],
)
def test_a_scenario_that_cant_be_told_is_explained(shop, arguments, word):
    result = shop.trigger(*arguments)
    assert result.exit_code != 0
    assert word in result.output
    assert shop.events == []


# Samples.


def test_a_sample_is_printed_as_json_in_either_shape(shop):
    assert json.loads(shop.run("sample", "payment.succeeded").output) == sample("payment.succeeded")
    assert json.loads(shop.run("sample", "payment.succeeded", "--pin", PIN).output) == sample("payment.succeeded", PIN)


def test_a_seed_prints_another_event_and_the_same_each_time(shop):
    one, same, other = (
        json.loads(shop.run("sample", "payment.succeeded", "--seed", seed).output) for seed in ("a", "a", "b")
    )
    assert one == same
    assert one["data"]["id"] != other["data"]["id"]


def test_a_printed_sample_can_be_delivered(shop, tmp_path):
    (tmp_path / "body.json").write_text(shop.run("sample", "refund.created").output)
    assert shop.trigger("refund.created", "--body", str(tmp_path / "body.json")).exit_code == 0
    assert shop.events[0].data.id == sample("refund.created")["data"]["id"]


def test_a_sample_of_no_event_names_the_nearest(shop):
    result = shop.run("sample", "payment.suceeded")
    assert result.exit_code == 1
    assert "'payment.succeeded'" in result.output


# Deliveries that go wrong, and signatures.


def test_reordered_duplicates_are_delivered_all(shop):
    answers = json.loads(shop.trigger("payment.succeeded", "--times", "20", "--duplicate", "--reorder").output)
    assert len(answers) == 40
    assert len(shop.events) == 20


def test_values_are_set_by_their_paths_as_json_or_as_text(shop):
    result = shop.trigger(
        *("payment.succeeded", "--set", "data.user.email=grace@example.com", "--set", "data.total=12.5"),
        *("--set", 'data.metadata={"seat": 7}', "--set", "data.promo_code=null", "--set", "company_id=biz_9"),
    )
    assert result.exit_code == 0
    [event] = shop.events
    assert (event.data.user.email, str(event.data.total), event.account_id) == (
        "grace@example.com",
        "12.50 USD",
        "biz_9",
    )
    assert event.raw["data"]["metadata"] == {"seat": 7}


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ("nothing", "--set takes PATH=VALUE"),
        ("=x", "--set takes PATH=VALUE"),
        ("data.id.deeper.0=x", "data.id has no parts"),
        ("type.0=x", "type has no parts"),
        ("data.user.emial=x", "the nearest is 'user.email'"),
        ("status=x", "the nearest is 'data.status'"),
        ("id=not an id", "--set id= takes an id as Whop's"),
    ],
)
def test_a_setting_that_fits_nowhere_is_refused(shop, setting, advice):
    result = shop.trigger("payment.succeeded", "--set", setting)
    assert "Traceback" not in result.output
    assert advice in result.output
    assert (result.exit_code, shop.events) in ((1, []), (2, []))


def test_an_id_that_is_set_is_the_events_and_the_deliverys(shop):
    for status in ("processed", "duplicate"):
        [answer] = json.loads(shop.trigger("payment.succeeded", "--set", "id=msg_mine").stdout)
        assert (answer["delivery_id"], answer["status"]) == ("msg_mine", status)
    [answer] = json.loads(shop.trigger("payment.succeeded", "--set", "id=7", "--set", "data.id=pay_7").stdout)
    assert [(event.id, event.data.id[:5]) for event in shop.events][1:] == [("7", "pay_7")]
    result = shop.trigger("payment.succeeded", "--set", "id=msg_2", "--times", "2")
    assert result.exit_code == 2
    assert "--duplicate" in result.output


@pytest.mark.parametrize("arguments", [(), ("--body", "-")])
def test_a_pattern_is_answered_with_the_events_that_it_matches(shop, arguments):
    result = shop.trigger("refund.*", *arguments, input="{}")
    assert result.exit_code == 1
    assert "'refund.*' is a pattern, and one event's name is needed; it matches refund.created" in result.output
    assert shop.trigger("payment.succeeded", "--pin", "latest").exit_code == 1


def test_what_receivers_print_is_not_in_the_json(shop, capfd):
    logged = logging.StreamHandler(sys.__stdout__)  # as an app's that logs to standard output

    @shop.whop.on("payment.succeeded", name="chatty")
    def chatty(app, event):
        print("printed")  # noqa: T201  # as receivers do
        os.write(1, b"written\n")
        logged.emit(logging.makeLogRecord({"msg": "logged"}))

    result = shop.trigger("payment.succeeded")
    assert [answer["status"] for answer in json.loads(result.stdout)] == ["processed"]
    assert "printed" in result.stderr
    assert capfd.readouterr().out == ""
    assert "printed" in shop.run("trigger", "payment.succeeded", "--in-process").stdout


def test_the_shape_goes_by_the_pin(shop):
    shop.trigger("payment.succeeded", "--pin", PIN)
    assert shop.events[0].api_version_date == PIN


def test_a_body_is_taken_from_a_file_or_from_standard_input(shop, tmp_path):
    body = {"type": "payment.succeeded", "data": {"id": "pay_mine"}}
    (tmp_path / "body.json").write_text(json.dumps(body))
    assert shop.trigger("payment.succeeded", "--body", str(tmp_path / "body.json")).exit_code == 0
    assert shop.trigger("payment.succeeded", "--body", "-", input=json.dumps(body)).exit_code == 0
    assert [event.data.id for event in shop.events] == ["pay_mine", "pay_mine"]


@pytest.mark.parametrize(("text", "word"), [(None, "can't be read"), ("{", "isn't JSON"), ("[]", "JSON object")])
def test_a_body_that_is_none_is_explained(shop, tmp_path, text, word):
    file = tmp_path / "body.json"
    if text is not None:
        file.write_text(text)
    result = shop.trigger("payment.succeeded", "--body", str(file))
    assert result.exit_code == 1
    assert word in result.output


def test_a_bad_signature_is_to_be_refused(shop):
    result = shop.trigger("payment.succeeded", "--bad-signature")
    assert (result.exit_code, json.loads(result.output)[0]["code"], shop.events) == (0, 401, [])


@pytest.mark.parametrize(
    ("age", "code"),
    [("200", 200), ("400", 401), ("-400", 401), ("4m", 200), ("10m", 401), ("-10m", 401), ("1.5h", 401)],
)
def test_an_old_or_early_signature_is_refused_beyond_the_tolerance(shop, age, code):
    result = shop.trigger("payment.succeeded", f"--age={age}")
    assert (result.exit_code, json.loads(result.output)[0]["code"]) == (0, code)


def test_an_age_that_is_none_is_refused_with_examples(shop):
    result = shop.trigger("payment.succeeded", "--age", "old")
    assert result.exit_code == 2
    assert "400, 90s, 10m or 2h" in result.output
    for age in ("99999999d", "-99999999d"):
        assert "between 1970 and 9999" in shop.trigger("payment.succeeded", f"--age={age}").output


def test_what_is_not_answered_2xx_is_a_failure_of_the_command(shop):
    shop.whop.on("payment.succeeded", name="broken")(lambda app, event: 1 / 0)
    result = shop.trigger("payment.succeeded")
    assert (result.exit_code, json.loads(result.output)[0]["status"]) == (1, "failed")


def test_the_first_of_several_secrets_signs():
    shop = Shop()
    shop.app.config["WHOP_WEBHOOK_SECRET"] = [OTHER_SECRET, SECRET]
    app = Flask("shop")
    app.config.update(shop.app.config)
    WhopWebhooks(app, store=MemoryStore())
    assert app.test_cli_runner().invoke(args=["whop", "trigger", "payment.succeeded", "--in-process"]).exit_code == 0


def test_many_answers_are_summed_up(shop):
    output = shop.run("trigger", "payment.succeeded", "--in-process", "--times", "60").output
    assert "… and 30 more. In all: 60 times 200 processed." in output


def test_an_event_that_does_not_exist_is_answered_with_the_nearest(shop):
    result = shop.trigger("payment.suceeded")
    assert result.exit_code == 1
    assert "Did you mean 'payment.succeeded'" in result.output


def test_no_event_of_whops_needs_no_sample_with_a_body_of_its_own(shop):
    result = shop.trigger("something.new", "--body", "-", input='{"data": {"id": "x"}}')
    assert (result.exit_code, json.loads(result.output)[0]["status"]) == (0, "unhandled")


def test_the_names_of_events_are_completed_in_the_shell(shop):
    environment = {"_FLASK_COMPLETE": "zsh_complete", "COMP_WORDS": "trigger payment.su", "COMP_CWORD": "1"}
    from click.shell_completion import ZshComplete

    from flask_whop.cli.trigger import command

    completer = ZshComplete(command, {}, "trigger", "_TRIGGER_COMPLETE")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert "payment.succeeded" in completer.complete()
        patch.setenv("COMP_WORDS", "trigger --scenario re")
        patch.setenv("COMP_CWORD", "2")
        assert {"renewal-failed", "refund"} <= set(completer.complete().split())


# What Whop sends, and who listens.


def test_events_are_listed_with_who_listens(shop):
    lines = {line.split()[0]: line.split() for line in shop.run("events", "payment.*").output.splitlines()}
    assert lines["payment.succeeded"] == ["payment.succeeded", "mail", "Payment", "payment_succeeded"]
    assert lines["payment.failed"] == ["payment.failed", "-", "Payment", "payment_failed"]
    assert len(shop.run("events").output.splitlines()) == len(EVENT_TYPES) + 1


def test_the_list_for_whops_form_has_what_somebody_listens_to(shop):
    assert shop.run("events", "--subscribed").output == "payment.succeeded\nrefund.created\n"


def test_one_event_is_shown_with_its_fields_and_a_receiver_that_works(shop):
    output = shop.run("events", "payment.succeeded").output
    assert "receivers  mail" in output
    assert "usd_total" in output
    assert "The total in US dollars." in output
    source = output.partition("A receiver to copy:\n\n")[2]
    exec(source, {"whop": shop.whop, "print": lambda *values: shop.events.append(values)})
    shop.trigger("payment.succeeded")
    assert len(shop.events) == 2


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_each_event_can_be_shown(shop, event_type):
    result = shop.run("events", event_type)
    assert result.exit_code == 0, result.output
    payload = event_class(event_type).payload_class.__name__
    assert f"event.data is {'an' if payload[0] in 'AEIOU' else 'a'} {payload}" in result.output


def test_events_are_json_for_a_script(shop):
    [one] = json.loads(shop.run("events", "payment.succeeded", "--json").output)
    assert (one["signal"], one["class"], one["payload"], one["receivers"]) == (
        *("payment_succeeded", "PaymentSucceeded", "Payment"),
        ["mail"],
    )
    assert one["fields"]["total"] == "Money"
    assert len(json.loads(shop.run("events", "--json").output)) == len(EVENT_TYPES)


def test_an_unknown_name_gives_the_nearest(shop):
    result = shop.run("events", "membership.activate")
    assert result.exit_code == 1
    assert "'membership.activated'" in result.output


@pytest.mark.parametrize("command", ["events", "sample", "trigger"])
def test_every_command_has_help_that_ends_in_an_example(shop, command):
    assert f"flask whop {command}" in shop.run(command, "--help").output.partition("Example:")[2]


def test_in_debug_mode_an_event_that_nobody_handles_is_logged_once_with_a_receiver(caplog):
    shop = Shop()
    shop.app.debug = True
    caplog.set_level(logging.INFO, "flask_whop")
    for number in range(3):
        Sender(shop.app).deliver("membership.activated", id=f"msg_{number}")
        Sender(shop.app).deliver("something.new", id=f"msg_new_{number}")
    told = [record.getMessage() for record in caplog.records if "A receiver to copy" in record.getMessage()]
    assert len(told) == 2
    assert "@whop.on(MembershipActivated)\ndef on_membership_activated(app, event: MembershipActivated" in told[0]
    assert "something.new" not in told[1]
    compile(told[1].partition("\n\n")[2], "told", "exec")


def test_outside_debug_mode_it_is_not(caplog):
    caplog.set_level(logging.INFO, "flask_whop")
    Sender(Shop().app).deliver("membership.activated")
    assert "A receiver to copy" not in caplog.text
