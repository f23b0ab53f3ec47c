"""How the commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence

import click


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print ``rows`` in columns, as wide as what stands in them.

    On a terminal the headings are bold, and the last column is cut where the line would
    wrap. Piped, it is plain text, and nothing is cut.
    """
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    click.secho(_line([heading.upper() for heading in headings], widths), bold=True, color=_colour())
    for row in texts:
        click.echo(_line(row, widths))


def as_json(value: object) -> None:
    """Print ``value`` as JSON, for a script to read."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def styled(text: str, colour: str) -> str:
    """The text in a colour, where that is wanted."""
    return click.style(text, fg=colour) if _colour() is not False else text


def _colour() -> bool | None:
    """False where NO_COLOR says so; else click decides by what it writes to."""
    return False if os.environ.get("NO_COLOR") else None


def _text(cell: object) -> str:
    return "-" if cell is None or cell == "" else str(cell)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return fitted("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def fitted(line: str) -> str:
    """The line, cut where it would wrap on a terminal."""
    columns = shutil.get_terminal_size().columns
    if len(line) > columns and sys.stdout.isatty():
        return line[: columns - 1] + "…"
    return line
