"""A payload, laid out for people: as a tree, and as JSON with line breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from flask_whop.names import printable_json, redacted, shown

MOST_NODES: Final = 2000
"""How many values a tree shows."""

_DEEPEST = 40
_LONGEST = 2000
_LARGE = 100_000  # letters, of which each may become forty if it is indented
# Strings, brackets, separators, and everything else: numbers and words.
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class _Number(str):
    """A number, digit for digit."""

    __slots__ = ()


class Node(NamedTuple):
    """A value in a payload, and where it is."""

    name: str
    """Its key, or its index; empty for the payload itself."""
    depth: int
    kind: str
    """``object``, ``list``, ``text``, ``number``, ``word`` (true, false, null), or ``more`` for what isn't shown."""
    value: str
    """What is shown of it; of an object or a list, how much is in it."""


def tree_of(body: bytes) -> list[Node]:
    """Return the values of a payload, each after the one that it's in, up to :data:`MOST_NODES`."""
    nodes: list[Node] = []
    for node in _walk("", json.loads(body, parse_int=_Number, parse_float=_Number), 0):
        if len(nodes) == MOST_NODES:
            nodes.append(Node("…", 0, "more", "There is more; the JSON has all of it."))
            break
        nodes.append(node)
    return nodes


def _walk(name: str, value: object, depth: int) -> Iterator[Node]:
    if depth > _DEEPEST:
        yield Node(name, depth, "more", "It goes deeper; the JSON has all of it.")
    elif isinstance(value, dict):
        yield Node(name, depth, "object", f"{len(value)}")
        for key, inner in value.items():
            yield from _walk(shown(key), inner, depth + 1)
    elif isinstance(value, list):
        yield Node(name, depth, "list", f"{len(value)}")
        for number, inner in enumerate(value):
            yield from _walk(str(number), inner, depth + 1)
    elif isinstance(value, _Number):
        yield Node(name, depth, "number", value[:_LONGEST])
    elif isinstance(value, str):
        yield Node(name, depth, "text", shown(value, _LONGEST))
    else:
        yield Node(name, depth, "word", json.dumps(value))


def pretty(text: str) -> str:
    """Return JSON with line breaks, and otherwise nearly as it is: numbers and escapes keep their letters.

    If it's large, its lines aren't indented.
    """
    pieces: list[str] = []
    depth, empty = 0, False
    deepest = _DEEPEST if len(text) < _LARGE else 0
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece in "}]":
            depth -= 1
            pieces.append(piece if empty else f"{_line(depth, deepest)}{piece}")
        else:
            if empty:
                pieces.append(_line(depth, deepest))
            pieces.append(f"{piece} " if piece == ":" else f"{piece}{_line(depth, deepest)}" if piece == "," else piece)
        empty = piece in "{["
        depth += empty
    return printable_json(redacted("".join(pieces)))


def _line(depth: int, deepest: int) -> str:
    return "\n" + "  " * min(depth, deepest)
