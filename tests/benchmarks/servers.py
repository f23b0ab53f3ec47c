"""Deliveries through real gunicorn servers, beside the views by hand: how many a second, and how long each takes.

    python -m tests.benchmarks.servers [--seconds 4] [--shapes 2x4,2x16] [--stores memory,SQLite,PostgreSQL,MariaDB]

32 connections that are kept send as fast as they are answered, with wrk if it is on the
PATH and otherwise by processes of our own. Server and sender share the machine, so that
the figures are for comparing within one run. Each row has a database of its own; what is
sent first for half a second is not counted. ``accept`` answers when the row is on the
disk, and no worker runs.
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks.common import Databases, accepts, databases, process, say_where, table, wait_until
from tests.benchmarks.sender import CONNECTIONS, Sent, program_name, send
from tests.services import free_port

MODES = (("inline", "inline"), ("accept", "worker"), ("after_response", "after_response"))


def measured(kind: str, dispatch: str, shape: str, seconds: float, made: Databases, *, by_hand: bool) -> Sent:
    """Deliver to a server."""
    workers, threads = shape.split("x")
    port = free_port()
    arguments = ("gunicorn", f"--workers={workers}", f"--threads={threads}", f"--bind=127.0.0.1:{port}")
    app = "tests.benchmarks.common:create_app()"
    with process(*arguments, app, store=made.new(kind), dispatch=dispatch, by_hand=by_hand):
        wait_until(lambda: accepts(port))
        send(port, 1, made.folder)
        return send(port, seconds, made.folder)


def main() -> None:
    """Measure, and print a table for each shape of server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--shapes", default="2x4,2x16", help="workers x threads")
    parser.add_argument("--stores", default="memory,SQLite,PostgreSQL,MariaDB")
    asked = parser.parse_args()
    say_where()
    print(f"{CONNECTIONS} connections, {program_name()}\n")
    with databases() as made:
        for shape in asked.shapes.split(","):
            rows = []
            for kind in asked.stores.split(","):
                if kind not in (*made.there, "memory"):
                    continue
                for mode, dispatch in MODES if kind != "memory" else MODES[:1]:
                    sides = (True, False) if kind != "MariaDB" and mode != "after_response" else (False,)
                    for by_hand in sides:
                        sent = measured(kind, dispatch, shape, asked.seconds, made, by_hand=by_hand)
                        name = f"{kind}, {mode}{', by hand' if by_hand else ''}"
                        rows.append(
                            (
                                *(name, f"{sent.rate:.0f}", f"{sent.p50 * 1e3:.1f} ms", f"{sent.p99 * 1e3:.1f} ms"),
                                str(sent.errors),
                            )
                        )
                        print(".", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)
            table((f"gunicorn {shape}", "a second", "p50", "p99", "errors"), rows)
            print()


if __name__ == "__main__":
    main()
