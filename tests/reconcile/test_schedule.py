"""``flask whop work --pull-every`` and Celery's beat bring in what was missed, on their own."""

from __future__ import annotations

import time

from celery import Celery
from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.stores import Key, State
from tests.reconcile.processes import end, until
from tests.services import only_in_the_gate
from tests.shop import SECRET, new_app

PAID = "payment.succeeded"
PUBLIC = "https://shop.example"
FAILED = {"success": False}


def test_a_worker_pulls_at_once_and_again_and_tells_how_many(whop, site):
    hook = whop.webhook(f"{PUBLIC}/webhooks/whop", [PAID])
    working = site.command("work", "--pull-every", "0.2s", "--webhook", hook.id)
    until(lambda: whop.asked)
    first = whop.send(PAID, logged=FAILED)
    until(lambda: first in site.arrived())
    whop.disturb("list_deliveries", "server_error", times=2)
    second = whop.send(PAID, logged=FAILED)
    until(lambda: second in site.arrived(), 60)
    end(working)
    output = working.stdout.read().decode()
    assert "Pulled 2 deliveries." in output
    assert site.arrived() == [first, second]
    assert whop.key not in output


def test_a_worker_that_is_stopped_does_not_wait_for_whop(whop, site):
    hook = whop.webhook(f"{PUBLIC}/webhooks/whop", [PAID])
    whop.disturb("retrieve", "server_error", times=99)
    working = site.command("work", "--pull-every", "10m", "--webhook", hook.id)
    until(lambda: len(whop.asked) >= 3)  # the waits get longer
    started = time.monotonic()
    end(working)
    assert time.monotonic() - started < 3


def test_a_worker_goes_on_where_whop_cannot_be_reached(whop, site):
    only_in_the_gate("waits for five tries")
    site.environment["WHOP_API_URL"] = "http://127.0.0.1:9/api/v1"
    working = site.command("work", "--pull-every", "0.2s", "--webhook", "hook_1")
    until(lambda: b"couldn't be pulled" in working.stdout.readline(), 60)
    assert working.poll() is None
    end(working)


def test_it_begins_with_a_key_and_ends_with_once(whop, site):
    once = site.command("work", "--pull-every", "10m", "--once")
    assert b"for a cron job run flask whop pull" in once.communicate(timeout=30)[0]
    del site.environment["WHOP_API_KEY"]
    keyless = site.command("work", "--pull-every", "10m")
    assert b"WHOP_API_KEY is not set" in keyless.communicate(timeout=30)[0]
    assert keyless.returncode == 1


def test_celerys_beat_pulls_by_a_task(whop, tmp_path):
    app = new_app(
        tmp_path,
        WHOP_DISPATCH="celery",
        WHOP_API_KEY=whop.key,
        WHOP_API_URL=whop.url,
        WHOP_PUBLIC_URL=PUBLIC,
    )
    WhopWebhooks(app).on(PAID)(lambda app, event: None)
    with Celery("shop", broker="memory://") as celery:
        app.extensions["celery"] = celery
        whop.webhook(f"{PUBLIC}/webhooks/whop", [PAID], secret=SECRET)
        event_id = whop.send(PAID, logged=FAILED)
        with app.app_context():
            assert celery.tasks["flask_whop.pull"].apply().get() == 1
            assert celery.tasks["flask_whop.pull"].apply().get() == 0
            assert stored(app, event_id).state is State.DUE


def stored(app: Flask, event_id):
    installation = Installation.of(app)
    return installation.store.get(Key(installation.engine.endpoint, event_id))
