"""What is said of a model's fields, from its source."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from textwrap import dedent

from pydantic import BaseModel


@cache
def attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The first paragraph of what stands below each field, those of the parents included."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            found |= _own(cls)
    return found


def _own(cls: type) -> dict[str, str]:
    try:
        [definition] = ast.parse(dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, ValueError):
        return {}
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    found: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            said = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(said, str):
                found[field.target.id] = " ".join(inspect.cleandoc(said).partition("\n\n")[0].replace("``", "").split())
    return found
