"""Deliveries through real servers: gunicorn with workers and threads, and Flask's own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_whop.testing import signed
from tests import ROOT
from tests.services import free_port
from tests.shop import PATH, SECRET

SERVERS = {
    "gunicorn": ["gunicorn", "--workers=2", "--threads=4", "--bind=127.0.0.1:{port}", "tests.served:create_app()"],
    "gunicorn with sync workers": ["gunicorn", "--workers=2", "--bind=127.0.0.1:{port}", "tests.served:create_app()"],
    "flask run": ["flask", "--app=tests.served:create_app", "run", "--port={port}"],
}


class Server:
    """A server process, and the file in which its app tells what arrived."""

    def __init__(self, command, directory):
        self.port = free_port()
        self.arrived = directory / "arrived"
        self.arrived.touch()
        environment = os.environ | {
            "WHOP_WEBHOOK_SECRET": SECRET,
            "SHOP_ARRIVED": str(self.arrived),
            "SHOP_INSTANCE": str(directory),
            "PYTHONPATH": str(ROOT),
        }
        arguments = [argument.format(port=self.port) for argument in command]
        self.output = (directory / "output").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment,
            cwd=directory,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        self.wait()

    def wait(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, Path(self.output.name).read_text()
                time.sleep(0.05)
            else:
                return
        pytest.fail("the server did not start: " + Path(self.output.name).read_text())

    def post(self, data, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", PATH, data, headers, encode_chunked="transfer-encoding" in headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def log(self):
        return Path(self.output.name).read_text(errors="replace")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.output.close()


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS.keys())
def server(request, tmp_path_factory):
    server = Server(request.param, tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def arrived(server):
    server.arrived.write_text("")
    return lambda: server.arrived.read_text().splitlines()


def test_the_documented_payload_is_one_typed_call(server, arrived, documented):
    assert server.post(**signed(documented, SECRET)) == 200
    assert arrived() == [
        "IdentityProfileNeedsAction biz_xxxxxxxxxxxxxx Document image was too blurry to read.",
    ]


@pytest.mark.parametrize("server", [SERVERS["flask run"]], indirect=True, ids=["flask run"])
def test_flask_run_shows_a_line_for_a_delivery(server, arrived):
    assert server.post(**signed({"id": "msg_shown", "type": "payment.succeeded"}, SECRET)) == 200
    until = time.monotonic() + 5
    while "Delivery msg_shown payment.succeeded -: processed, 1 receiver called" not in server.log():
        assert time.monotonic() < until, server.log()
        time.sleep(0.05)


def test_a_chunked_body_is_read_whole(server, arrived):
    request = signed({"id": "msg_chunked", "type": "payment.succeeded"}, SECRET)
    body = request["data"]
    request["headers"]["transfer-encoding"] = "chunked"
    assert server.post(iter([body[:20], body[20:]]), request["headers"]) == 200
    assert arrived() == ["msg_chunked"]


def test_a_forgery_is_answered_401_and_calls_nothing(server, arrived, documented):
    assert server.post(**signed(documented, SECRET + "0")) == 401
    assert arrived() == []


def test_a_body_over_the_limit_is_answered_413(server, arrived):
    body = b" " * 1_048_577
    assert server.post(b"", {"content-length": "1048577", **signed(body, SECRET)["headers"]}) == 413
    assert arrived() == []


def test_many_deliveries_at_once_are_each_called_once(server, arrived):
    def deliver(number):
        return server.post(**signed({"id": f"msg_{number}", "type": "payment.succeeded"}, SECRET))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(deliver, range(100))) == {200}
    assert sorted(arrived()) == sorted(f"msg_{number}" for number in range(100))


# What cannot be read is the sender's fault.

MALFORMED = {
    "a size that is no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative size": b"-1\r\n{}\r\n0\r\n\r\n",
    "a size with a prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\n{}\r\n0\r\n\r\n",
    "a size beyond anything": b"f" * 400 + b"\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "an extension that is none": b"2;=\r\n{}\r\n0\r\n\r\n",
    "an extension without an end": b'2;a="\r\n{}\r\n0\r\n\r\n',
    "a line end that is none": b"2\n{}\n0\n\n",
    "more than the size says": b"2\r\n{} and more\r\n0\r\n\r\n",
    "less than the size says": b"ff\r\n{}\r\n0\r\n\r\n",
    "a fault behind a good chunk": b"2\r\n{}\r\nzz\r\n",
    "no end": b"2\r\n{}\r\n",
    "no end of the trailers": b"2\r\n{}\r\n0\r\nx: y\r\n",
    "trailers that are none": b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n",
    "nothing": b"",
    "noise": bytes(range(256)) * 4,
}
# Some servers take these, and what they make of them is what was signed.
TAKEN_BY_SOME = {"a size with a prefix", "a line end that is none"}


def raw(server, request):
    """Send bytes as they are, say that no more will come, and return the status of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return int(connection.makefile("rb").readline().split()[1])


def chunked(body, data=b"{}", **headers):
    headers = {"host": "shop", "transfer-encoding": "chunked", **signed(data, SECRET)["headers"], **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


def crashes_python(server, kind):
    on_flask_run = server.process.args[2] == "flask"
    return on_flask_run and sys.version_info < (3, 11) and kind == "a size beyond anything"


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_chunked_body_is_the_senders_fault_and_one_line_of_the_log(server, arrived, kind):
    if crashes_python(server, kind):
        pytest.skip("Python 3.10 itself crashes in what Werkzeug's development server reads such a body with")
    before = len(server.log())
    status = raw(server, chunked(MALFORMED[kind]))
    log = server.log()[before:]
    if status == 200:
        assert kind in TAKEN_BY_SOME
    else:
        assert status == 413 if "body_too_large" in log else status == 400
        assert log.count(" rejected: body_") == 1
    assert "Traceback" not in log
    assert arrived() == [], "an error tracker would have been told"


def test_after_malformed_bodies_every_worker_takes_what_is_well_formed(server, arrived):
    for kind, body in list(MALFORMED.items()) * 2:
        if not crashes_python(server, kind):
            raw(server, chunked(body))
    good = json.dumps({"id": "msg_well_formed", "type": "payment.succeeded"}).encode()
    for _ in range(6):
        assert raw(server, chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(good), good), data=good)) == 200
    assert arrived() == ["msg_well_formed"] * 6


def test_a_sender_that_hangs_up_early_is_one_line_of_the_log(server, arrived):
    before = len(server.log())
    request = signed(b"{}", SECRET)["headers"] | {"host": "shop", "content-length": "99"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.items())
    assert raw(server, f"POST {PATH} HTTP/1.1\r\n{lines}\r\n{{}}".encode()) == 400
    assert server.log()[before:].count(" rejected: body_incomplete ") == 1
    assert "Traceback" not in server.log()[before:]
    assert arrived() == []
