"""Deliveries through real servers: gunicorn with workers and threads, and Flask's own."""

from __future__ import annotations

import http.client
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
from tests.conftest import PATH, SECRET

SERVERS = {
    "gunicorn": ["gunicorn", "--workers=2", "--threads=4", "--bind=127.0.0.1:{port}", "tests.shop:create_app()"],
    "gunicorn with sync workers": ["gunicorn", "--workers=2", "--bind=127.0.0.1:{port}", "tests.shop:create_app()"],
    "flask run": ["flask", "--app=tests.shop:create_app", "run", "--port={port}"],
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
            "PYTHONPATH": str(Path(__file__).parents[1]),
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

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.output.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
