"""Instructions per delivery, which other users of the machine cannot disturb.

    python -m tests.benchmarks.instructions [--deliveries 30] [--stores memory,SQLite,PostgreSQL] [--accept]

Each app is run twice under callgrind (valgrind has to be on the PATH), with so many
deliveries and with three times as many; half of the difference is what the first number
costs, without start and warm-up. What a database does in its own process is not
counted. It takes some minutes, since each run is fifty times as slow.
"""

from __future__ import annotations

import argparse
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


STORES = ("memory", "SQLite", "PostgreSQL")


def child(store: str, dispatch: str, hand: str, deliveries: str, most: str) -> None:
    """Deliver: what runs under callgrind."""
    if store == "bare":
        app = by_hand.bare()
    else:
        app = by_hand.app_on(store, dispatch) if hand == "True" else app_with(store, dispatch)
    made = environs(int(most) + 20)  # as many in both runs, so that only one thing differs
    for environ in made[: 20 + int(deliveries)]:
        deliver(app, environ)


def count(store: str, case: Case, deliveries: int, most: int) -> int:
    """How many instructions a whole run takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={Path(folder) / 'counted'}", sys.executable]
        command += ["-m", "tests.benchmarks.instructions", "--child", store, case.dispatch, str(case.by_hand)]
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [*command, str(deliveries), str(most)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr[-3000:]
    assert done.returncode == 0, done.stderr[-3000:]
    print(".", end="", file=sys.stderr, flush=True)
    return int(found[1])


def main() -> None:
    """Count, and print a line for each store and mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=30)
    parser.add_argument("--stores", default=",".join(STORES))
    parser.add_argument("--accept", action="store_true", help="count accepting for a worker too")
    asked = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not on the PATH.")
    say_where()
    bare = Case("bare", "inline", by_hand=True)
    with databases() as made, ThreadPoolExecutor(os.cpu_count()) as pool:
        cases = [
            Case(kind, dispatch, by_hand=False)
            for kind in asked.stores.split(",")
            for dispatch in (("inline", "worker") if asked.accept and kind != "memory" else ("inline",))
            if kind in (*made.there, "memory")
        ]
        runs = {
            case: [
                pool.submit(count, "bare" if case is bare else made.new(case.kind), case, times, 3 * asked.deliveries)
                for times in (asked.deliveries, 3 * asked.deliveries)
            ]
            for case in (bare, *(side for case in cases for side in (case._replace(by_hand=True), case)))
        }
        costs = {
            case: (many.result() - few.result()) / (2 * asked.deliveries) / 1000 for case, (few, many) in runs.items()
        }
    rows = []
    for case in cases:
        hand, ours = costs[case._replace(by_hand=True)], costs[case]
        rows.append((str(case), f"{hand:.0f}", f"{ours:.0f}", f"{ours / hand:.2f}", f"{ours / costs[bare]:.2f}"))
    print(f"A bare view takes {costs[bare]:.0f} thousand instructions.\n")
    table(("thousands of instructions", "by hand", "flask-whop", "x of by hand", "x of a bare view"), rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
