"""The databases and brokers that tests talk to, each where a fresh install of it listens."""

from __future__ import annotations

import os
import socket

import pytest

SERVICES = {
    "PostgreSQL": (5432, "postgresql://postgres@127.0.0.1:5432/test", "trusting postgres from 127.0.0.1"),
    "MariaDB": (3306, "mysql://root@127.0.0.1:3306/test", "with root's password empty"),
    "Redis": (6379, "redis://127.0.0.1:6379/0", "as it comes"),
    "RabbitMQ": (5672, "amqp://guest:guest@127.0.0.1:5672//", "as it comes"),
}


def url_of(service: str) -> str:
    """The URL of a service; without it the test is skipped, and fails where the gate runs."""
    port, url, how = SERVICES[service]
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        message = f"{service} does not listen on 127.0.0.1:{port}; start it, {how}, with a database called test."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return url


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
