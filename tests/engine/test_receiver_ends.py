"""However a receiver ends, its call is counted, the others have their turn, and the delivery comes to an end."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest

from flask_whop import GiveUp, RetryLater, WhopWebhooks, signals
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import Worker
from flask_whop.errors import ProcessDied, ReceiverError, StoreUnavailable
from flask_whop.stores import Key, ReceiptState, State
from flask_whop.stores.sqlite import SqliteStore
from flask_whop.testing import sample, signed
from tests import ROOT
from tests.crash.driver import wait_until
from tests.services import free_port, listens
from tests.shop import PATH, SECRET, Sender, new_app


class Shop:
    """An app with two receivers: one that ends as it is told to, and a neighbour."""

    def __init__(self, tmp_path, dispatch="worker", **config):
        self.app = new_app(tmp_path, WHOP_DISPATCH=dispatch, **config)
        self.whop = WhopWebhooks(self.app)
        self.store = Installation.of(self.app).store
        self.ran = []
        self.endings = []
        self.whop.on("payment.succeeded", name="odd")(self.odd)
        self.whop.on("payment.succeeded", name="neighbour")(lambda app, event: self.ran.append("neighbour"))

    def odd(self, app, event):
        self.ran.append("odd")
        if self.endings:
            ending = self.endings.pop(0)
            if callable(ending):
                return ending()
            raise ending
        return None

    def deliver(self):
        return Sender(self.app).deliver("payment.succeeded", id="msg_1").json["status"]

    def work(self):
        Worker(self.app).run(once=True)

    def advance(self, seconds):
        now = self.store.clock()
        self.store.clock = lambda: now + seconds

    def receipt(self, receiver="odd"):
        return {one.receiver: one for one in self.store.receipts(Key("shop", "msg_1"))}.get(receiver)

    def state(self):
        return self.store.get(Key("shop", "msg_1")).state

    def told(self):
        """What a receiver of receiver_failed hears."""
        heard = []
        signals.receiver_failed.connect_via(self.app)(
            lambda app, event, receiver, error: heard.append((receiver, type(error.__cause__ or error)))
        )
        return heard


# A receiver's own exit.


@pytest.mark.parametrize("ending", [SystemExit(3), asyncio.CancelledError("no")], ids=["exit", "cancelled"])
def test_a_receiver_that_exits_or_is_cancelled_fails_like_any_other_and_the_others_are_called(tmp_path, ending, caplog):
    shop = Shop(tmp_path, "inline")
    heard = shop.told()
    shop.endings = [ending]
    assert shop.deliver() == "failed"
    assert shop.ran == ["odd", "neighbour"]
    assert (shop.receipt().state, shop.receipt().attempts) == (ReceiptState.FAILED, 1)
    assert shop.receipt("neighbour").state is ReceiptState.DONE
    assert heard == [("odd", type(ending))]
    assert "odd failed with payment.succeeded msg_1" in caplog.text
    assert shop.deliver() == "processed"


@pytest.mark.parametrize("ending", [SystemExit(3), asyncio.CancelledError("no")], ids=["exit", "cancelled"])
def test_a_receiver_that_always_exits_is_spaced_by_the_backoff_and_dead_lettered(tmp_path, ending):
    shop = Shop(tmp_path, WHOP_RETRY_FOR=1000)
    shop.endings = [ending] * 99
    shop.deliver()
    shop.work()
    assert shop.ran == ["odd", "neighbour"]
    shop.work()
    assert shop.ran == ["odd", "neighbour"]
    for _ in range(20):
        shop.advance(600)
        shop.work()
    assert shop.state() is State.DEAD
    assert shop.ran.count("neighbour") == 1
    assert shop.receipt().attempts == shop.ran.count("odd") <= 5


class Timeout(BaseException):
    """What a timeout library raises, and nobody is to catch."""


def test_what_is_not_to_be_caught_is_counted_and_raised_again_and_the_others_come_first_next_time(tmp_path, caplog):
    shop = Shop(tmp_path, "inline")
    heard = shop.told()
    shop.endings = [Timeout(), Timeout()]
    with pytest.raises(Timeout):
        shop.deliver()
    assert shop.ran == ["odd"]
    assert (shop.receipt().state, shop.receipt().attempts, shop.state()) == (ReceiptState.FAILED, 1, State.FAILED)
    assert heard == [("odd", Timeout)]
    assert "odd failed with" in caplog.text
    with pytest.raises(Timeout):
        shop.deliver()
    assert shop.ran == ["odd", "neighbour", "odd"]
    assert shop.receipt().attempts == 2
    assert shop.deliver() == "processed"


def test_what_is_not_to_be_caught_does_not_stop_a_worker_and_waits_for_its_time(tmp_path):
    shop = Shop(tmp_path)
    shop.endings = [Timeout()]
    shop.deliver()
    shop.work()
    assert shop.ran == ["odd", "neighbour"]  # the neighbour was due at once
    assert (shop.state(), shop.receipt().attempts) == (State.DUE, 1)
    shop.advance(30)
    shop.work()
    assert (shop.ran, shop.state()) == (["odd", "neighbour", "odd"], State.DONE)


@pytest.mark.parametrize("ending", [SystemExit(3), Timeout()])
def test_no_ending_of_a_receiver_of_ours_leaves_the_delivery_running(tmp_path, ending):
    shop = Shop(tmp_path, "after_response")
    shop.endings = [ending]
    with suppress(Timeout):
        shop.deliver()
    assert shop.state() is State.DUE


GEVENT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from flask_whop import WhopWebhooks
from flask_whop.engine.installation import Installation
from flask_whop.stores import Key
from flask_whop.testing import signed
from tests.shop import PATH, SECRET, new_app

app = new_app(sys.argv[1])
whop = WhopWebhooks(app)
ran = []

@whop.on("payment.succeeded", name="odd")
def odd(app, event):
    ran.append("odd")
    gevent.sleep(30)

@whop.on("payment.succeeded", name="neighbour")
def neighbour(app, event):
    ran.append("neighbour")

def deliver():
    return app.test_client().post(PATH, **signed({"id": "msg_1", "type": "payment.succeeded", "data": {}}, SECRET))

def limited():
    try:
        with gevent.Timeout(0.3):
            deliver()
    except gevent.Timeout:
        ran.append("timeout")

gevent.spawn(limited).join()
killed = gevent.spawn(deliver)
gevent.sleep(0.5)
killed.kill()
for receipt in Installation.of(app).store.receipts(Key("shop", "msg_1")):
    ran.append(f"{receipt.receiver} {receipt.state.value} {receipt.attempts}")
ran.append(Installation.of(app).store.get(Key("shop", "msg_1")).state.value)
print(" / ".join(ran))
"""


def test_timeouts_and_kills_of_gevent_are_counted_and_starve_nobody(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", GEVENT, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout.strip() == "odd / timeout / neighbour / odd / odd failed 2 / neighbour done 1 / failed", (
        ran.stderr
    )


# A process that is told to stop.


@pytest.fixture
def _stops_on_signals():
    def stop(number, frame):
        sys.exit(0)

    # What runs in the background of a shell is started with SIGINT ignored.
    handlers = {signal.SIGTERM: stop, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def kill_by(number):
    def end():
        os.kill(os.getpid(), number)
        time.sleep(5)

    return end


@pytest.mark.usefixtures("_stops_on_signals")
@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)], ids=["SIGTERM", "SIGINT"]
)
def test_a_process_that_is_told_to_stop_counts_nothing_calls_nobody_further_and_lets_go(tmp_path, number, raised):
    shop = Shop(tmp_path, "inline")
    heard = shop.told()
    shop.endings = [kill_by(number)]
    with pytest.raises(raised):
        shop.deliver()
    assert (shop.ran, shop.receipt(), heard) == (["odd"], None, [])
    assert shop.state() is State.FAILED
    assert shop.deliver() == "processed"
    assert shop.ran == ["odd", "odd", "neighbour"]


@pytest.mark.usefixtures("_stops_on_signals")
def test_a_process_that_is_told_to_stop_lets_the_turn_of_a_receiver_go(tmp_path):
    shop = Shop(tmp_path, "inline")
    endings = [kill_by(signal.SIGTERM)]
    shop.whop.on("refund.created", name="ordered", skip_stale=True)(lambda app, event: endings and endings.pop()())
    with pytest.raises(SystemExit):
        Sender(shop.app).deliver("refund.created", {"id": "rfnd_1"}, id="msg_1")
    assert Sender(shop.app).deliver("refund.created", {"id": "rfnd_1"}, id="msg_2").json["status"] == "processed"
    assert (shop.receipt("ordered").attempts, shop.state()) == (0, State.FAILED)


@pytest.mark.usefixtures("_stops_on_signals")
def test_a_stop_in_a_later_run_is_not_counted_either(tmp_path):
    shop = Shop(tmp_path)
    shop.endings = [ValueError("no"), kill_by(signal.SIGTERM)]
    shop.deliver()
    shop.work()
    shop.advance(30)
    with shop.app.app_context(), pytest.raises(SystemExit):
        Installation.of(shop.app).engine.run(Key("shop", "msg_1"))
    assert (shop.receipt().attempts, shop.state()) == (1, State.DUE)
    shop.work()
    assert (shop.receipt().attempts, shop.state()) == (2, State.DONE)


APP = """
import os, time
from flask import Flask
from flask_whop import WhopWebhooks

def create_app():
    app = Flask("shop", instance_path=os.environ["SHOP_FOLDER"])
    app.config["WHOP_WEBHOOK_SECRET"] = os.environ["SHOP_SECRET"]
    app.config["WHOP_DISPATCH"] = os.environ.get("SHOP_DISPATCH", "inline")
    whop = WhopWebhooks(app)

    def note(line):
        with open(os.environ["SHOP_FOLDER"] + "/ran", "a") as file:
            file.write(line + "\\n")

    @whop.on("payment.succeeded", name="odd")
    def odd(app, event):
        note("odd")
        if os.environ["SHOP_ENDING"] == "hang":
            time.sleep(60)
        if os.environ["SHOP_ENDING"] == "segfault":
            import ctypes
            ctypes.string_at(0)

    @whop.on("payment.succeeded", name="neighbour")
    def neighbour(app, event):
        note("neighbour")

    return app
"""


def environment(tmp_path, ending, dispatch="inline"):
    (tmp_path / "ending.py").write_text(APP)
    return os.environ | {
        "SHOP_FOLDER": str(tmp_path),
        "SHOP_SECRET": SECRET,
        "SHOP_ENDING": ending,
        "SHOP_DISPATCH": dispatch,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
    }


def test_a_worker_that_gunicorn_aborts_counts_the_call_and_the_neighbour_comes_first_next_time(tmp_path):
    port = free_port()
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--timeout=1", f"--bind=127.0.0.1:{port}", "ending:create_app()"],
        cwd=tmp_path,
        env=environment(tmp_path, "hang"),
        stderr=log,
    )

    def deliver():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        request = signed(sample("payment.succeeded") | {"id": "msg_1"}, SECRET)
        try:
            connection.request("POST", PATH, request["data"], request["headers"])
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    store = SqliteStore(tmp_path / "whop.sqlite3")
    try:
        wait_until(lambda: listens(port), "the server", (tmp_path / "log").read_text)
        assert deliver() in (None, 500)
        wait_until(lambda: store.receipts(Key("shop", "msg_1")), "the receipt", (tmp_path / "log").read_text)
        [odd] = store.receipts(Key("shop", "msg_1"))
        assert (odd.receiver, odd.state, odd.attempts) == ("odd", ReceiptState.FAILED, 1)
        assert store.get(Key("shop", "msg_1")).state is State.FAILED
        assert deliver() in (None, 500)
        wait_until(lambda: (tmp_path / "ran").read_text().split() == ["odd", "neighbour", "odd"], "both", str)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        log.close()
        store.close()


# A receiver that takes its process with it.


def work_in_a_process(tmp_path, ending):
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "ending:create_app()", "whop", "work", "--once"],
        cwd=tmp_path,
        env=environment(tmp_path, ending, "worker"),
        capture_output=True,
        check=False,
    ).returncode


def test_a_receiver_that_kills_its_process_is_counted_spaced_and_starves_nobody(tmp_path):
    shop = Shop(tmp_path, WHOP_RETRY_FOR=1000)
    shop.deliver()
    assert work_in_a_process(tmp_path, "segfault") == -signal.SIGSEGV
    lapse(tmp_path)
    assert work_in_a_process(tmp_path, "segfault") == -signal.SIGSEGV
    ran = (tmp_path / "ran").read_text().split()
    # The first run goes by the order of connection and notes nothing; later ones do, and are fair.
    assert ran == ["odd", "odd"]
    assert (shop.receipt().state, shop.receipt().attempts) == (ReceiptState.STARTED, 1)
    lapse(tmp_path)
    assert work_in_a_process(tmp_path, "segfault") == 0
    assert (tmp_path / "ran").read_text().split() == ["odd", "odd", "neighbour"]
    assert (shop.receipt().state, shop.state()) == (ReceiptState.FAILED, State.DUE)
    assert shop.receipt().due_at - shop.receipt().last_at > 7


def lapse(tmp_path):
    """Let the lease of a dead process run out."""
    store = SqliteStore(tmp_path / "whop.sqlite3")
    store._change("UPDATE whop_deliveries SET lease_until = 0 WHERE state = 'running'", {})
    store.close()


def test_a_call_that_never_ended_is_told_and_is_dead_after_the_deadline(tmp_path, caplog):
    shop = Shop(tmp_path, WHOP_RETRY_FOR=1000)
    heard = shop.told()
    dead = []
    signals.delivery_dead_lettered.connect_via(shop.app)(lambda app, delivery, event: dead.append(delivery.id))
    shop.endings = [ValueError("no")]
    shop.deliver()
    shop.work()
    for _ in range(20):
        if shop.state() is State.DEAD:
            break
        shop.advance(300)
        child = os.fork()
        if child == 0:
            try:
                shop.endings = [lambda: os.kill(os.getpid(), signal.SIGKILL)]
                shop.work()
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        lapse(tmp_path)
        shop.work()
    assert shop.state() is State.DEAD
    assert shop.receipt().state is ReceiptState.DEAD
    assert 3 <= shop.receipt().attempts <= 6
    assert dead == ["msg_1"]
    assert heard[1:] == [("odd", ProcessDied)] * (len(heard) - 1)
    assert "odd didn't end with payment.succeeded msg_1" in caplog.text


def test_what_has_killed_a_process_runs_alone_in_a_worker(tmp_path):
    shop = Shop(tmp_path)
    at_once, most = [], []

    @shop.whop.on("refund.created", name="together")
    def together(app, event):
        at_once.append(event.id)
        most.append(set(at_once))
        time.sleep(0.1)
        at_once.remove(event.id)

    for number in range(8):
        Sender(shop.app).deliver("refund.created", id=f"msg_{number}")
    for number in (2, 5):
        assert shop.store.take(Key("shop", f"msg_{number}"), f"dead {number}", 0.0)
    time.sleep(0.01)
    shop.work()
    assert len(most) == 8
    assert max(map(len, most)) > 1
    assert all(len(running) == 1 for running in most if running & {"msg_2", "msg_5"})


def test_one_that_is_to_run_alone_and_hangs_does_not_keep_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("flask_whop.engine.worker._TOGETHER_AFTER", 0.3)
    shop = Shop(tmp_path)
    released = threading.Event()
    shop.endings = [lambda: released.wait(30)]
    shop.deliver()
    assert shop.store.take(Key("shop", "msg_1"), "dead", 0.0)
    done = []
    shop.whop.on("refund.created", name="refund")(lambda app, event: done.append(event.id))
    time.sleep(0.01)
    worker = Worker(shop.app, concurrency=2)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        wait_until(lambda: "odd" in shop.ran, "the one that hangs", str)
        for number in range(3):
            Sender(shop.app).deliver("refund.created", id=f"msg_refund_{number}")
        wait_until(lambda: len(done) == 3, "the others", str)
        assert not released.is_set()
    finally:
        released.set()
        worker.stop()
        thread.join()


def test_a_call_of_whops_that_never_ended_is_tried_again_when_it_becomes_ours(tmp_path):
    shop = Shop(tmp_path, "inline")
    shop.endings = [ValueError("no")]
    assert shop.deliver() == "failed"
    child = os.fork()
    if child == 0:
        try:
            shop.endings = [lambda: os.kill(os.getpid(), signal.SIGKILL)]
            shop.deliver()
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    lapse(tmp_path)
    shop.work()
    assert (shop.state(), shop.receipt().state) == (State.DUE, ReceiptState.FAILED)
    assert shop.receipt().error == "The process was killed, crashed, or hung while this receiver ran."
    shop.advance(60)
    shop.work()
    assert (shop.state(), shop.receipt().state, shop.receipt().attempts) == (State.DONE, ReceiptState.DONE, 3)


def test_a_handler_of_sigterm_that_raises_an_exception_is_a_stop_too(tmp_path):
    class Stopped(Exception):  # as some servers call theirs
        pass

    def stop(number, frame):
        raise Stopped

    shop = Shop(tmp_path, "inline")
    heard = shop.told()
    shop.endings = [kill_by(signal.SIGTERM)]
    before = signal.signal(signal.SIGTERM, stop)
    try:
        assert shop.deliver() == "failed"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (shop.ran, shop.receipt(), heard, shop.state()) == (["odd"], None, [], State.FAILED)


@pytest.mark.parametrize("ending", [SystemExit(3), asyncio.CancelledError("no")], ids=["exit", "cancelled"])
def test_a_lifecycle_receiver_that_exits_spoils_nothing(tmp_path, ending, caplog):
    shop = Shop(tmp_path, "inline")

    @signals.delivery_processed.connect_via(shop.app)
    def end(app, delivery, event):
        raise ending

    assert shop.deliver() == "processed"
    assert "a receiver of delivery_processed, raised; the delivery goes on" in caplog.text


def test_a_wish_to_wait_of_ones_own_kind_needs_no_time(tmp_path):
    class Busy(RetryLater):
        def __init__(self):
            """Say nothing to RetryLater."""

    shop = Shop(tmp_path, "inline")
    shop.endings = [Busy()]
    answer = Sender(shop.app).deliver("payment.succeeded", id="msg_1")
    assert (answer.json["status"], answer.headers["Retry-After"]) == ("retry_later", "60")


def test_a_store_that_is_away_after_the_answer_is_a_line_in_the_log(tmp_path, monkeypatch, caplog):
    shop = Shop(tmp_path, "after_response")

    def away(*arguments):
        raise StoreUnavailable("away")

    monkeypatch.setattr(shop.store, "due", away)
    assert shop.deliver() == "accepted"
    assert shop.state() is State.DONE
    assert "Couldn't look up what else is due." in caplog.text


def test_a_receiver_that_hangs_is_let_go_after_the_longest_call_and_said_loudly(tmp_path, caplog):
    shop = Shop(tmp_path, WHOP_LONGEST_CALL=0.5)
    engine = Installation.of(shop.app).engine
    engine.leases.lease = 0.4
    released = threading.Event()
    shop.endings = [released.wait]
    shop.deliver()
    hung = threading.Thread(target=shop.work)
    hung.start()
    try:
        wait_until(lambda: "(WHOP_LONGEST_CALL)" in caplog.text, "the lease to be let go", lambda: caplog.text)
        wait_until(lambda: shop.store.due("shop", 1), "the lease to lapse", lambda: caplog.text)
        shop.work()
    finally:
        released.set()
        hung.join()
    assert shop.ran.count("odd") == 2
    assert shop.state() is State.DONE
    assert "has been taken over" in caplog.text
    assert shop.receipt().attempts == 1


# The time to wait.


@pytest.mark.parametrize(
    ("made", "seconds"),
    [
        (RetryLater(), 60),
        (RetryLater(300), 300),
        (RetryLater(0.5), 1),
        (RetryLater(timedelta(minutes=5)), 300),
        (RetryLater("closed", after=timedelta(hours=1)), 3600),
        (RetryLater("closed", after=90), 90),
        (RetryLater(after=0), 1),
        (RetryLater(after=-5), 1),
        (RetryLater(-timedelta(days=1)), 1),
    ],
)
def test_a_wish_to_wait_is_in_seconds_or_a_timedelta_and_a_second_at_least(made, seconds):
    assert made.after == seconds


@pytest.mark.parametrize("wait", ["soon", None.__class__, float("nan"), float("inf"), True, [5], 1e300, 10**400])
def test_what_is_no_time_is_refused_where_it_is_raised(wait):
    with pytest.raises(ReceiverError, match="number of seconds"):
        RetryLater("closed", after=wait)


def test_two_times_are_refused():
    with pytest.raises(ReceiverError, match="two"):
        RetryLater(5, after=7)


@pytest.mark.parametrize("wait", [0, -300, 300])
@pytest.mark.parametrize("dispatch", ["inline", "worker"])
def test_a_retry_after_is_never_negative(tmp_path, dispatch, wait):
    shop = Shop(tmp_path, dispatch)
    shop.endings = [RetryLater(wait)]
    answer = Sender(shop.app).deliver("payment.succeeded", id="msg_1")
    if dispatch == "inline":
        assert int(answer.headers["Retry-After"]) == max(1, wait)
    else:
        shop.work()
        assert shop.receipt().due_at - shop.receipt().last_at == pytest.approx(max(1, wait), abs=0.5)


# What cannot be kept as it is.


class Unwritable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error",
    [ValueError("NUL \x00 and half \ud800 a pair"), ValueError("x" * 5_000_000), Unwritable(), GiveUp("\x00\udfff")],
    ids=["NUL", "long", "unwritable", "given up"],
)
def test_an_error_that_cannot_be_written_is_kept_as_far_as_it_goes(tmp_path, monkeypatch, error):
    # What pytest captures of a log has to be UTF-8 when several processes run the tests.
    monkeypatch.setattr(logging.getLogger("flask_whop"), "disabled", True)
    shop = Shop(tmp_path, "inline")
    shop.endings = [error]
    shop.deliver()
    assert shop.ran == ["odd", "neighbour"]
    assert type(error).__name__ in shop.receipt().error
    assert len(shop.receipt().error) <= 2000
    assert shop.state() is State.DONE if isinstance(error, GiveUp) else State.FAILED
