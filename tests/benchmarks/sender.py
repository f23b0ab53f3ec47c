"""Senders that keep their connections and deliver to a server as fast as it answers.

It is wrk where that is on the PATH, and otherwise processes of our own, which take more of
the machine. All requests are signed beforehand, and each is sent once.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.common import BODY, PATH, new_id, percentile, signed_headers

CONNECTIONS = 32
PROCESSES = 2
SCRIPT = Path(__file__).with_name("present.lua")
MOST_A_SECOND = 6000
"""How many requests are signed for each second: more than are answered."""


class Sent(NamedTuple):
    """What came of sending, with times in seconds."""

    rate: float
    p50: float
    p99: float
    errors: int


def send(port: int, seconds: float, folder: Path) -> Sent:
    """Deliver for some seconds by 32 connections."""
    number = int(seconds * MOST_A_SECOND / PROCESSES)
    signed = [[_line() for _ in range(number)] for _ in range(PROCESSES)]
    program = shutil.which("wrk")
    return _by_wrk(program, port, seconds, signed, folder) if program else _by_ours(port, seconds, signed)


def program_name() -> str:
    """Who sends."""
    return "wrk" if shutil.which("wrk") else "senders in Python"


def _line() -> str:
    headers = signed_headers(new_id())
    return " ".join(headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))


def _by_wrk(program: str, port: int, seconds: float, signed: list[list[str]], folder: Path) -> Sent:
    body = folder / "body"
    body.write_bytes(BODY)
    files = [folder / f"signed-{number}" for number in range(len(signed))]
    for file, lines in zip(files, signed, strict=True):
        file.write_text("\n".join(lines))
    command = [program, f"-t{PROCESSES}", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout=30s"]
    command += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--", PATH, str(body), *map(str, files)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    told = json.loads(printed.strip().splitlines()[-1])
    taken = told["microseconds"] / 1e6
    return Sent(told["requests"] / taken, told["p50"] / 1e6, told["p99"] / 1e6, told["errors"])


def _by_ours(port: int, seconds: float, signed: list[list[str]]) -> Sent:
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        told = [pool.submit(_sender, port, seconds, lines, CONNECTIONS // PROCESSES) for lines in signed]
        times = [taken for one in told for taken in one.result()[0]]
        errors = sum(one.result()[1] for one in told)
    return Sent(len(times) / seconds, percentile(times, 50), percentile(times, 99), errors)


def _sender(port: int, seconds: float, lines: list[str], connections: int) -> tuple[list[float], int]:
    """Deliver by some threads; the seconds that each took, and how many were answered otherwise than 200."""
    times: list[float] = []
    errors: list[int] = []
    until = time.monotonic() + seconds

    def deliver() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < until and lines:
            delivery_id, timestamp, signature = lines.pop().split(" ", 2)
            headers = {"webhook-id": delivery_id, "webhook-timestamp": timestamp, "webhook-signature": signature}
            started = time.perf_counter()
            try:
                connection.request("POST", PATH, BODY, {"content-type": "application/json", **headers})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                errors.append(0)
                continue
            times.append(time.perf_counter() - started)
            if answer.status != 200:
                errors.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=deliver) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(errors)
