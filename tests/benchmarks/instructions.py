"""How many instructions one delivery takes, which doesn't depend on what else the machine does.

    python -m tests.benchmarks.instructions [deliveries]

Each app is run twice under valgrind's callgrind, the second time with twice the
deliveries: the difference is what they cost, less what making the requests costs.
Valgrind has to be installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.benchmarks.bench_delivery import APPS, deliver, environments, statuses

CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def work(name: str, rounds: int) -> None:
    """Deliver some rounds to one app: what is counted."""
    app = APPS[name]() if name in APPS else None
    for _ in range(rounds):
        made = environments(100)
        if app is not None:
            deliver(app, made)
    assert set(statuses) <= {"200 OK"}


def counted(name: str, rounds: int) -> int:
    """The instructions of a process that delivers some rounds."""
    command = [*CALLGRIND, sys.executable, "-m", "tests.benchmarks.instructions", "--work", name, str(rounds)]
    told = subprocess.run(
        command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "0", "PATH": os.environ["PATH"]}
    ).stderr
    return int(re.search(r"Collected : (\d+)", told)[1])


def cost(name: str, rounds: int) -> float:
    """The instructions of one delivery, with those of making its request."""
    return (counted(name, 2 * rounds) - counted(name, rounds)) / rounds / 100


def main(deliveries: int) -> None:
    """Count, and print a line for each app."""
    rounds = max(1, deliveries // 100)
    making, bare = cost("the requests alone", rounds), None
    for name in APPS:
        each = cost(name, rounds) - making
        bare = bare or each
        print(f"{name:36}{each / 1000:8.1f} thousand{each / bare:8.2f} of the bare view")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
