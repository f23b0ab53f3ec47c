"""The tests: a folder for each wing, and beside them what spans several."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
"""The checkout."""
