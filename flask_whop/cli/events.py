"""``flask whop events``: what Whop sends, who listens in this app, and what is in the payload."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from textwrap import dedent

import click
from flask import current_app
from flask.cli import with_appcontext
from pydantic import BaseModel

from flask_whop.cli.output import as_json, fitted, styled, table
from flask_whop.doctor.unhandled import ready_receiver
from flask_whop.engine.installation import Installation
from flask_whop.events import AnyEvent
from flask_whop.events.fields import model_in
from flask_whop.grammar import with_article
from flask_whop.signals import EVENT_SIGNALS
from flask_whop.signals.kinds import EventSignal
from flask_whop.signals.patterns import matching

_DEEPEST = 3


def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001  # click's way
    """Complete an event type in the shell."""
    return [event_type for event_type in EVENT_SIGNALS if event_type.startswith(incomplete)]


@click.command("events")
@click.argument("wanted", metavar="[EVENT]", required=False, shell_complete=complete)
@click.option("--subscribed", is_flag=True, help="Only events with a receiver: the list to select in Whop's form.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts.")
@with_appcontext
def command(wanted: str | None, *, subscribed: bool, machine: bool) -> None:
    """List the events that Whop sends, and who listens to them in this app.

    EVENT is a name or a pattern. A single event is shown with its fields and a receiver
    to copy.

    \b
    Example:
      flask whop events "payment.*"
      flask whop events payment.succeeded
      flask whop events --subscribed
    """  # noqa: D301  # click reads the backspace
    types: Sequence[str] = list(EVENT_SIGNALS) if wanted is None else matching(wanted)
    if subscribed:
        types = [event_type for event_type in types if _listeners(event_type)]
    if machine:
        as_json([_plain(event_type, fields=len(types) == 1) for event_type in types])
    elif subscribed:
        click.echo("\n".join(types) if types else "No event has a receiver yet.", err=not types)
    elif wanted is not None and len(types) == 1:
        _describe(types[0])
    else:
        table(("event", "listened to by", "payload", "signal"), [_row(event_type) for event_type in types])


def _listeners(event_type: str) -> list[str]:
    return [call.name for call in EVENT_SIGNALS[event_type].calls_for(Installation.of(current_app).app)]


def _row(event_type: str) -> Sequence[object]:
    signal: EventSignal[AnyEvent] = EVENT_SIGNALS[event_type]
    return event_type, ", ".join(_listeners(event_type)), signal.event_class.payload_class.__name__, signal.name


def _plain(event_type: str, *, fields: bool) -> dict[str, object]:
    signal: EventSignal[AnyEvent] = EVENT_SIGNALS[event_type]
    plain: dict[str, object] = {
        "event": event_type,
        "signal": signal.name,
        "class": signal.event_class.__name__,
        "payload": signal.event_class.payload_class.__name__,
        "receivers": _listeners(event_type),
    }
    if fields:
        plain["fields"] = {path: kind for path, kind, _ in _fields(signal.event_class.payload_class)}
    return plain


def _describe(event_type: str) -> None:
    signal: EventSignal[AnyEvent] = EVENT_SIGNALS[event_type]
    cls = signal.event_class
    click.secho(event_type, bold=True)
    click.echo(f"  {inspect.cleandoc(cls.__doc__ or '').replace('``', '')}".replace("\n", "\n  "))
    click.echo(f"\n  signal     flask_whop.signals.{signal.name}")
    click.echo(f"  class      flask_whop.events.{cls.__name__}")
    click.echo(f"  receivers  {', '.join(_listeners(event_type)) or styled('none in this app', 'yellow')}")
    _describe_fields(cls.payload_class)
    click.echo(f"\nA receiver to copy:\n\n{ready_receiver(event_type)}")


def _describe_fields(model: type[BaseModel]) -> None:
    fields = list(_fields(model))
    if not fields:
        click.echo(f"\nevent.data is {with_article(model.__name__)}, whose fields Whop doesn't document.")
        return
    click.echo(f"\nevent.data is {with_article(model.__name__)}. Any field but id may be None:\n")
    path_width, kind_width = (max(len(field[column]) for field in fields) for column in (0, 1))
    for path, kind, meaning in fields:
        click.echo(fitted(f"  {path:{path_width}}  {kind:{kind_width}}  {meaning}".rstrip()))


def _fields(model: type[BaseModel], prefix: str = "", seen: tuple[type, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Yield the path, the type and the meaning of each field, nested ones included."""
    documented = _docstrings(model)
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        path = f"{prefix}{name}{'[]' if 'tuple' in str(field.annotation) else ''}"
        yield path, _type_name(field.annotation, inner), documented.get(name, "")
        if inner is not None and inner.__name__ != "Money" and inner not in seen and prefix.count(".") < _DEEPEST:
            yield from _fields(inner, f"{path}.", (*seen, inner))


def _type_name(annotation: object, inner: type[BaseModel] | None) -> str:
    if inner is not None:
        return inner.__name__
    parts = [getattr(part, "__origin__", part) for part in getattr(annotation, "__args__", (annotation,))]
    names = [getattr(part, "__name__", str(part)) for part in parts]
    return " or ".join(
        name.replace("AwareDatetime", "datetime") for name in names if name not in ("NoneType", "Ellipsis")
    )


@cache
def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the first paragraph of each field's docstring, inherited fields included.

    They are read from the source: pydantic's own setting for this slows down each import.
    """
    docstrings: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            docstrings |= _own_docstrings(cls)
    return docstrings


def _own_docstrings(cls: type) -> dict[str, str]:
    try:
        [definition] = ast.parse(dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, ValueError):
        return {}
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    docstrings: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                first = inspect.cleandoc(text).partition("\n\n")[0]
                docstrings[field.target.id] = " ".join(first.replace("``", "").split())
    return docstrings
