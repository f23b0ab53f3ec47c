"""How the commands print: tables for people, JSON for programs, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence

import click

from flask_whop.names import redacted, shown

_DELETE = 0x7F


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
    # With an indent, white space stands between all values, which is where a password ends.
    click.echo(printable_json(redacted(json.dumps(value, indent=2, ensure_ascii=False, default=str))))


def printable_json(text: str) -> str:
    """The same JSON, with escapes for what a terminal would obey, or could not write."""
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    # Outside of its texts, JSON has no such characters but white space, and inside no such white space.
    if letter in "\n\r\t":
        return "" if letter == "\r" else letter
    return json.dumps(letter)[1:-1] if ord(letter) > _DELETE else f"\\u{ord(letter):04x}"


def fault(error: object) -> click.ClickException:
    """What ends a command with a message, as it may be shown."""
    return click.ClickException(shown(error))


def styled(text: str, colour: str) -> str:
    """The text in a colour, where that is wanted."""
    return click.style(text, fg=colour) if _colour() is not False else text


def _colour() -> bool | None:
    """False where NO_COLOR says so; else click decides by what it writes to."""
    return False if os.environ.get("NO_COLOR") else None


def _text(cell: object) -> str:
    return "-" if cell is None or cell == "" else shown(cell)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return fitted("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def fitted(line: str) -> str:
    """The line, cut where it would wrap on a terminal."""
    columns = shutil.get_terminal_size().columns
    if len(line) > columns and sys.stdout.isatty():
        return line[: columns - 1] + "…"
    return line
