"""Writes the reference pages that say what the code says: settings, events, signals, commands, findings, metrics.

Each build writes them anew into ``docs/reference/generated``, which isn't committed, so none of
them can be out of date.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

FOLDER: Final = Path("reference/generated")


def write(app: Sphinx) -> None:
    """Write the pages that have changed, and remove those that no longer exist."""
    from whop_reference.pages import pages  # noqa: PLC0415  # it imports all of flask_whop

    folder = Path(app.srcdir) / FOLDER
    written = set()
    for name, text in pages():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        written.add(path)
    for path in set(folder.rglob("*.md")) - written:
        path.unlink()


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element) -> Any:
    """Resolve a reference to a class by the module that defines it to the name that users import it by."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("flask_whop."):
        return None
    python, name = env.domains["py"], target.rpartition(".")[2]
    same = [full for full, *_ in python.get_objects() if full.startswith("flask_whop.") and full.endswith(f".{name}")]
    if len(same) != 1 or same[0] == target:
        return None
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", same[0], node, contnode)


def hide_overloads(_app: Sphinx) -> None:
    """Show the one signature of ``whop.on`` that says everything, and not those that are for type checkers."""
    from sphinx.pycode import ModuleAnalyzer  # noqa: PLC0415  # the tests read the pages without Sphinx

    analyzer = ModuleAnalyzer.for_module("flask_whop.extension")
    analyzer.analyze()
    analyzer.overloads.pop("WhopWebhooks.on")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks which there are."""
    app.connect("builder-inited", write)
    app.connect("builder-inited", hide_overloads)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
