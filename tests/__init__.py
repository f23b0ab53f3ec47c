"""The tests: a folder for each wing, and beside them what spans several."""

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
"""The checkout."""

IN_THE_GATE: Final = bool(os.environ.get("CI"))
"""Whether everything runs: what needs services, a browser or minutes, and all examples of properties."""


def examples(many: int) -> int:
    """How many examples of a property to try: all in the gate, a quarter elsewhere."""
    return many if IN_THE_GATE else many // 4
