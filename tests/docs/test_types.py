"""The recipes, and what assistants copy, pass mypy in strict mode."""

from __future__ import annotations

import subprocess
import sys

from tests import ROOT
from tests.docs.pages import DOCS, RECIPES, blocks_of
from tests.services import only_in_the_gate


def test_recipes_pass_mypy_in_strict_mode(tmp_path):
    only_in_the_gate("takes mypy half a minute")
    for page in (*RECIPES, DOCS / "assistants.md"):
        name = "shop" if page.stem == "index" else page.stem.replace("-", "_")
        for number, (code, _) in enumerate(blocks_of(page)):
            if "def test_" not in code:
                (tmp_path / f"{name}{number or ''}.py").write_text(code)
    assert len(list(tmp_path.glob("*.py"))) > len(RECIPES) - 2
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
