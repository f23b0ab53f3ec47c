"""Processes of the served app, pointed at a fake Whop, and the file in which it tells what arrived."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

from tests import ROOT
from tests.services import free_port, listens
from tests.shop import PATH, SECRET


class Site:
    """A folder with the app's store, a port for its server, and the processes that were started there."""

    def __init__(self, folder, whop, app="tests.served:create_app"):
        self.app = app
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{PATH}"
        self.arrived_file = folder / "arrived"
        self.arrived_file.touch()
        self.environment = os.environ | {
            "WHOP_WEBHOOK_SECRET": SECRET,
            "WHOP_API_KEY": whop.key,
            "WHOP_API_URL": whop.url,
            "SHOP_ARRIVED": str(self.arrived_file),
            "SHOP_INSTANCE": str(folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        self.processes = []

    def start(self, *arguments, **how):
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=self.environment,
            cwd=self.folder,
            preexec_fn=heed_interrupts,  # noqa: PLW1509  # it only sets a signal
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **how},
        )
        self.processes.append(process)
        return process

    def serve(self):
        server = self.start(
            *("gunicorn", "--workers=2", "--threads=4", f"--bind=127.0.0.1:{self.port}", f"{self.app}()"),
            stdout=subprocess.DEVNULL,
        )
        until(lambda: listens(self.port) or server.poll() is not None)
        assert server.poll() is None
        return server

    def command(self, *arguments, **how):
        return self.start("flask", f"--app={self.app}", "whop", *arguments, **how)

    def children(self, process):
        """The processes that a process has started and that still run."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
        )
        return [Child(int(pid)) for pid in listed.stdout.split()]

    def json(self, output):
        """The JSON at the end of what a command wrote."""
        return json.loads(output[output.index("[\n") :])

    def arrived(self):
        return self.arrived_file.read_text().split()

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def heed_interrupts():
    """Undo what a shell does to what it starts in the background: ignore Ctrl+C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Child(int):
    """A process that another one has started."""

    def send_signal(self, number):
        with suppress(ProcessLookupError):
            os.kill(self, number)


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    process.wait(20)


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
