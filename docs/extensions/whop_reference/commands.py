"""The page of the commands, from click."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
from flask_whop.cli import COMMANDS, WhopCommands

_OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]+(?![^`]*`[^`]*$)")

_TOP = """\
# Commands

They run in your app's context, as every `flask` command does: `flask --app shop whop work`. They print tables for
people, and JSON for scripts with `--json`.

"""


def page() -> str:
    """Return the page."""
    group = WhopCommands()
    context = click.Context(group, info_name="flask whop")
    parts = [_TOP]
    for name in COMMANDS:
        command = group.get_command(context, name)
        if command is None:
            raise LookupError(name)
        parts += _entries(command, f"flask whop {name}", 2)
    return "".join(parts)


def _entries(command: click.Command, path: str, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    arguments = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    yield f"{'#' * level} {path}\n\n```text\n{path} [OPTIONS] {arguments}".rstrip() + "\n```\n\n"
    yield _help(command)
    yield f"```{{program}} {path}\n```\n\n"
    yield from map(_option, _options(command, context))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _entries(below, f"{path} {name}", level + 1)


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            yield record


def _option(record: tuple[str, str]) -> str:
    names, text = record
    spelled = names.replace(" / ", ", ")
    return f"```{{option}} {spelled}\n{_quoted(text)}\n```\n\n"


def _quoted(text: str) -> str:
    return _OPTION.sub(r"`\g<0>`", text)


def _help(command: click.Command) -> str:
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        text = paragraph.strip()
        if text.startswith("\b"):
            label, _, lines = text.removeprefix("\b").strip().partition("\n")
            parts.append(f"{label}\n\n```sh\n{inspect.cleandoc(lines)}\n```\n\n")
        else:
            parts.append(f"{_quoted(text)}\n\n")
    return "".join(parts)
