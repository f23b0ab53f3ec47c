"""Text of docstrings, as MyST."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from itertools import pairwise

_ROLE = re.compile(r":(\w+):`([^`]+)`")
_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)
_GAP = re.compile(r"\{(\w+)[^}]*\}")


def myst(docstring: str) -> str:
    """Turn the reStructuredText of a docstring into MyST: its roles and its literals."""
    text = inspect.cleandoc(docstring)
    text = _ROLE.sub(lambda role: f"{{py:{role[1]}}}`{role[2]}`", text)
    return _LITERAL.sub(lambda literal: f"`{' '.join(literal[1].split())}`", text)


def in_line(docstring: str) -> str:
    """Return it on one line, as a table or a list has room for."""
    return " ".join(myst(docstring).split())


def cell(docstring: str) -> str:
    """Return it for a table."""
    return in_line(docstring).replace("|", "\\|")


def filled(text: str) -> str:
    """Show the gaps in a finding's text: ``{name}`` becomes emphasis."""
    return _GAP.sub(lambda gap: f"*{gap[1].replace('_', ' ')}*", text).replace("{{", "{").replace("}}", "}")


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Make a table."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


_docs: dict[type, dict[str, str]] = {}


def attribute_docs(cls: type) -> dict[str, str]:
    """Return the docstrings that stand below the attributes of a class, by their names."""
    if cls not in _docs:
        _docs[cls] = dict(_read(cls))
    return _docs[cls]


def _read(cls: type) -> Iterator[tuple[str, str]]:
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    if not isinstance(definition, ast.ClassDef):
        return
    for above, below in pairwise(definition.body):
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name):
                yield above.target.id, below.value.value
            elif isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
                yield above.targets[0].id, below.value.value
