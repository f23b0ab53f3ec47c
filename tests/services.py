"""The databases and brokers that tests talk to, each where a fresh install of it listens."""

from __future__ import annotations

import socket

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
