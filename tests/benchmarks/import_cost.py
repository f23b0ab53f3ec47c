"""What ``import flask_whop`` costs beside importing what it stands on, in time and in memory.

    python tests/benchmarks/import_cost.py

Each import runs in a fresh interpreter, the three in turn, so that whatever else the
machine does falls on all of them. Time is that of the import alone; memory is the
growth of the resident set's peak (Linux and macOS).
"""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 25
IMPORTS = {
    "what it stands on": "import flask, blinker, standardwebhooks; from pydantic import BaseModel",
    "import flask_whop": "import flask_whop",
    "... and two signals": "import flask_whop; from flask_whop.signals import payment_succeeded, membership_activated",
}
MEASURE = """
import resource, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
{statement}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

# Installed packages are compiled; where this is set, a checkout would not be.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(statement: str) -> tuple[float, float]:
    """Run ``statement`` in a fresh interpreter; the seconds and the units of memory that it took."""
    printed = subprocess.run(
        [sys.executable, "-c", MEASURE.format(statement=statement)],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    ).stdout
    seconds, memory = map(float, printed.split())
    return seconds, memory


def main() -> None:
    """Measure, and print a line for each import."""
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPORTS}
    for number in range(ROUNDS + 1):
        for name, statement in IMPORTS.items():
            measured = measure(statement)
            if number:  # the first round warms the caches of compiled files and of the disk
                taken[name].append(measured)
    of_base = None
    for name, measured in taken.items():
        seconds, memory = (median(column) for column in zip(*measured, strict=True))
        of_base = of_base or (seconds, memory)
        print(
            f"{name:20} {seconds * 1000:7.1f} ms  {seconds / of_base[0]:.2f}"
            f"   {memory / unit:6.1f} MiB  {memory / of_base[1]:.2f}"
        )


if __name__ == "__main__":
    main()
