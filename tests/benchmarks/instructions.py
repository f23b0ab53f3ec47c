"""Instructions per delivery, which other users of the machine cannot disturb.

    python -m tests.benchmarks.instructions [deliveries]

Each app is run twice under callgrind (valgrind has to be on the PATH), with so many
deliveries and with three times as many; half of the difference is what the first number
costs, without start and warm-up. What a database does in its own process is not
counted. All figures are thousands of instructions in one thread.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import by_hand
from tests.benchmarks.common import ROOT, app_with, databases, deliver, environs, say_where, table


class Case(NamedTuple):
    """What is counted."""

    kind: str
    dispatch: str
    by_hand: bool

    def __str__(self) -> str:
        """Its name."""
        mode = "accept" if self.dispatch == "worker" else self.dispatch
        return f"{self.kind}, {mode}"


CASES = [
    Case(kind, dispatch, hand)
    for kind, dispatch in (
        ("memory", "inline"),
        ("SQLite", "inline"),
        ("SQLite", "worker"),
        ("PostgreSQL", "inline"),
        ("PostgreSQL", "worker"),
    )
    for hand in (True, False)
]


def child(store: str, dispatch: str, hand: str, deliveries: str) -> None:
    """Deliver: what runs under callgrind."""
    logging.getLogger("flask_whop").setLevel(logging.WARNING)
    if store == "bare":
        app = by_hand.bare()
    else:
        app = by_hand.app_on(store, dispatch) if hand == "True" else app_with(store, dispatch)
    made = environs(3 * int(os.environ["WHOP_BENCH_MOST"]) + 20)  # as many in both runs, so that only one thing differs
    for environ in made[: 20 + int(deliveries)]:
        deliver(app, environ)


def count(store: str, case: Case, deliveries: int, most: int) -> int:
    """How many instructions a whole run takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={Path(folder) / 'counted'}", sys.executable]
        command += ["-m", "tests.benchmarks.instructions", "--child", store, case.dispatch, str(case.by_hand)]
        environment = os.environ | {"PYTHONHASHSEED": "0", "WHOP_BENCH_MOST": str(most)}
        done = subprocess.run(
            [*command, str(deliveries)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr[-3000:]
    assert done.returncode == 0, done.stderr[-3000:]
    return int(found[1])


def main(deliveries: int) -> None:
    """Count, and print a line for each store and mode."""
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not on the PATH.")
    say_where()
    with databases() as made, ThreadPoolExecutor(os.cpu_count()) as pool:
        cases = [
            Case("bare", "inline", by_hand=True),
            *(case for case in CASES if case.kind in (*made.there, "memory")),
        ]
        runs = {
            case: [
                pool.submit(count, case.kind if case.kind == "bare" else made.new(case.kind), case, times, deliveries)
                for times in (deliveries, 3 * deliveries)
            ]
            for case in cases
        }
        costs = {case: (many.result() - few.result()) / (2 * deliveries) / 1000 for case, (few, many) in runs.items()}
    bare = costs.pop(cases[0])
    rows = []
    for case in cases[1::2]:
        hand, ours = costs[case], costs[case._replace(by_hand=False)]
        rows.append((str(case), f"{hand:.0f}", f"{ours:.0f}", f"{ours / hand:.2f}", f"{ours / bare:.2f}"))
    print(f"A bare view takes {bare:.0f} thousand instructions.\n")
    table(("thousands of instructions", "by hand", "flask-whop", "x of by hand", "x of a bare view"), rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
