"""The databases and brokers that tests talk to, each where a fresh install of it listens."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

import pytest

from tests import IN_THE_GATE

SERVICES = {
    "PostgreSQL": (5432, "postgresql://postgres@127.0.0.1:5432/test", "trusting postgres from 127.0.0.1"),
    "MariaDB": (3306, "mysql://root@127.0.0.1:3306/test", "with root's password empty"),
    "Redis": (6379, "redis://127.0.0.1:6379/0", "as it comes"),
    "RabbitMQ": (5672, "amqp://guest:guest@127.0.0.1:5672//", "as it comes"),
}


def url_of(service: str) -> str:
    """The URL of a service; the test is skipped outside the gate, and fails in it if the service is missing."""
    port, url, how = SERVICES[service]
    only_in_the_gate(f"needs {service}")
    if not listens(port):
        pytest.fail(f"{service} doesn't listen on 127.0.0.1:{port}; start it, {how}, with a database called test.")
    return url


def only_in_the_gate(why: str) -> None:
    """Skip the running test unless this is the gate (``.ci/run``), or ``CI`` is set by hand."""
    if not IN_THE_GATE:
        pytest.skip(f"{why}: CI=1 runs it, and so does the gate")


def free_port() -> int:
    """A port of this machine that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Silent:
    """A Redis that takes connections and says nothing, until it is told to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.taken = []
        self.speaks = threading.Event()
        self.threads = [threading.Thread(target=self.take)]
        self.threads[0].start()

    def take(self):
        while True:
            client, _ = self.listener.accept()
            if client.recv(1, socket.MSG_PEEK) == b"":  # it is closed
                client.close()
                return
            self.taken.append(client)
            self.threads.append(threading.Thread(target=self.serve, args=(client,)))
            self.threads[-1].start()

    def serve(self, client):
        self.speaks.wait()
        # Who is cut off in the middle need not be served any more.
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", 6379)) as redis:
            while ready := select.select([client, redis], [], [], 30)[0]:
                for one in ready:
                    data = one.recv(65_536)
                    if not data:
                        return
                    (redis if one is client else client).sendall(data)

    def close(self):
        self.speaks.set()
        socket.create_connection(self.listener.getsockname()).close()
        for client in self.taken:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()
