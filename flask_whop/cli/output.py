"""What the commands read and print: durations, tables for people, JSON for programs, nothing a terminal would obey."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

import click

from flask_whop.grammar import counted
from flask_whop.names import printable_json, redacted, shown

if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
else:
    _Seconds = click.ParamType  # generic only in the newest click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(_Seconds):
    """A duration such as ``90s``, ``30m``, ``2h`` or ``7d``, as seconds."""

    name = "duration"

    pattern: re.Pattern[str] = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])", re.ASCII)
    examples = "90s, 30m, 2h or 7d"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text, or fail with examples."""
        if isinstance(value, float):
            return value
        match = self.pattern.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} isn't a duration; write {self.examples}.", param, ctx)
        return float(match[1]) * _UNITS[match[2] or "s"]


class Age(Duration):
    """A duration that may be negative, and whose unit may be left out: a bare number is in seconds."""

    name = "age"
    pattern: re.Pattern[str] = re.compile(r"(-?\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)
    examples = "400, 90s, 10m or 2h; -10m is ahead"


def moment(seconds: float | None) -> str | None:
    """Write a unix time for people, in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def deliveries(count: int) -> str:
    """Write ``1 delivery``, or ``2 deliveries``."""
    return counted(count, "delivery")


def confirm(question: str, *, machine: bool = False) -> None:
    """Ask before going on; a command that prints JSON can't."""
    if machine:
        raise click.UsageError("--json can't ask: pass --yes, or --dry-run if there is one.")
    click.confirm(question, abort=True)


@contextmanager
def stdout_kept_clean(needed: bool = True) -> Iterator[None]:
    """Send what receivers print or log meanwhile to standard error, so that the JSON stands alone.

    Both Python's standard output and the process's are redirected: a log handler keeps the
    one, and a child process has the other.
    """
    if not needed:
        yield
        return
    sys.stdout.flush()
    with redirect_stdout(sys.stderr), ExitStack() as restored:
        with suppress(OSError):  # without such descriptors nothing can be printed there
            saved = os.dup(1)
            restored.callback(os.close, saved)
            os.dup2(2, 1)
            restored.callback(os.dup2, saved, 1)
        try:
            yield
        finally:
            if sys.__stdout__ is not None:
                sys.__stdout__.flush()  # a log handler may have written there


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print ``rows`` in columns as wide as their content.

    On a terminal the headings are bold, and a line that would wrap is cut. Piped, it is
    plain text, and nothing is cut.
    """
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    click.secho(_line([heading.upper() for heading in headings], widths), bold=True, color=_color())
    for row in texts:
        click.echo(_line(row, widths))


def as_json(value: object) -> None:
    """Print ``value`` as JSON, for scripts."""
    # The indent puts white space between all values, which is where a password ends.
    click.echo(printable_json(redacted(json.dumps(value, indent=2, ensure_ascii=False, default=str))))


def as_json_line(value: object) -> None:
    """Print ``value`` as one line of JSON, at once, for a script that reads along."""
    # ensure_ascii escapes what a terminal would obey, but for the one letter below.
    click.echo(redacted(json.dumps(value, default=str)).replace("\x7f", "\\u007f"))


def waiting(seconds: float, reason: str) -> None:
    """Say on standard error that Whop's API makes the command wait."""
    click.echo(f"Whop's API: {shown(reason)}; trying again in {seconds:.0f} s.", err=True)


def fault(error: object) -> click.ClickException:
    """Return the exception that ends a command with this message."""
    return click.ClickException(shown(error))


def styled(text: str, color: str) -> str:
    """Color the text, unless ``NO_COLOR`` is set."""
    return click.style(text, fg=color) if _color() is not False else text


def _color() -> bool | None:
    """False if ``NO_COLOR`` is set; otherwise click decides by what it writes to."""
    return False if os.environ.get("NO_COLOR") else None


def _text(cell: object) -> str:
    return "-" if cell is None or cell == "" else shown(cell)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return fitted("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def fitted(line: str) -> str:
    """Cut the line where it would wrap on a terminal."""
    columns = shutil.get_terminal_size().columns
    if len(line) > columns and sys.stdout.isatty():
        return line[: columns - 1] + "…"
    return line
