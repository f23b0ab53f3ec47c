"""``flask whop events``: what Whop sends, who listens here, and what is in it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import click
from flask import current_app
from flask.cli import with_appcontext
from pydantic import BaseModel

from flask_whop.cli.output import as_json, fault, fitted, styled, table
from flask_whop.doctor.unhandled import ready_receiver
from flask_whop.errors import UnknownEventError
from flask_whop.events import AnyEvent, event_class
from flask_whop.signals import EVENT_SIGNALS
from flask_whop.signals.kinds import EventSignal
from flask_whop.signals.patterns import matching

_DEEPEST = 3


def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001  # click's way
    """The event types that begin as what has been typed, for completion in the shell."""
    return [event_type for event_type in EVENT_SIGNALS if event_type.startswith(incomplete)]


@click.command("events")
@click.argument("wanted", metavar="[EVENT]", required=False, shell_complete=complete)
@click.option("--subscribed", is_flag=True, help="Only those that somebody listens to: the list for Whop's form.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for a script.")
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
    types = _matching(wanted)
    if subscribed:
        types = [event_type for event_type in types if _listeners(event_type)]
    if machine:
        as_json([_plain(event_type, fields=len(types) == 1) for event_type in types])
    elif subscribed:
        click.echo("\n".join(types) if types else "Nobody listens to any event yet.", err=not types)
    elif wanted is not None and len(types) == 1:
        _describe(types[0])
    else:
        table(("event", "listened to by", "payload", "signal"), [_row(event_type) for event_type in types])


def _matching(wanted: str | None) -> list[str]:
    try:
        return list(EVENT_SIGNALS if wanted is None else matching(wanted))
    except UnknownEventError as error:
        raise fault(error) from None


def _listeners(event_type: str) -> list[str]:
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  # documented by Werkzeug
    return [call.name for call in EVENT_SIGNALS[event_type].calls_for(app)]


def _row(event_type: str) -> Sequence[object]:
    signal: EventSignal[AnyEvent] = EVENT_SIGNALS[event_type]
    return event_type, ", ".join(_listeners(event_type)), signal.event_class.payload_class.__name__, signal.name


def _plain(event_type: str, *, fields: bool) -> dict[str, object]:
    signal: EventSignal[AnyEvent] = EVENT_SIGNALS[event_type]
    made: dict[str, object] = {
        "event": event_type,
        "signal": signal.name,
        "class": signal.event_class.__name__,
        "payload": signal.event_class.payload_class.__name__,
        "receivers": _listeners(event_type),
    }
    if fields:
        made["fields"] = {name: kind for name, kind, _ in _fields(signal.event_class.payload_class)}
    return made


def _describe(event_type: str) -> None:
    cls = event_class(event_type)
    assert cls is not None, "matching() gives the types that have a class"  # noqa: S101  # for the type checkers
    click.secho(event_type, bold=True)
    click.echo(f"  {inspect.cleandoc(cls.__doc__ or '')}".replace("\n", "\n  "))
    click.echo(f"\n  signal     flask_whop.signals.{EVENT_SIGNALS[event_type].name}")
    click.echo(f"  class      flask_whop.events.{cls.__name__}")
    click.echo(f"  receivers  {', '.join(_listeners(event_type)) or styled('nobody listens here', 'yellow')}")
    _describe_fields(cls.payload_class)
    click.echo(f"\nA receiver to copy:\n\n{ready_receiver(event_type)}")


def _describe_fields(model: type[BaseModel]) -> None:
    fields = list(_fields(model))
    if not fields:
        click.echo(f"\nevent.data is a {model.__name__}, whose fields Whop does not document.")
        return
    click.echo(f"\nevent.data is a {model.__name__}, of whose fields any but id may be None:\n")
    names, kinds = (max(len(field[column]) for field in fields) for column in (0, 1))
    for name, kind, what in fields:
        click.echo(fitted(f"  {name:{names}}  {kind:{kinds}}  {what}".rstrip()))


def _fields(model: type[BaseModel], path: str = "", seen: tuple[type, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Each field with its type and what is said of it first, also further down."""
    documented = _documented(model)
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        many = "[]" if "tuple" in str(field.annotation) else ""
        yield f"{path}{name}{many}", _word(field.annotation, inner), documented.get(name, "")
        if inner is not None and inner.__name__ != "Money" and inner not in seen and path.count(".") < _DEEPEST:
            yield from _fields(inner, f"{path}{name}{many}.", (*seen, inner))


def _documented(model: type[BaseModel]) -> dict[str, str]:
    """What stands below the fields in the source; pydantic would need a setting that costs each import."""
    from flask_whop.cli.docstrings import attribute_docstrings  # noqa: PLC0415  # parses source; for this command alone

    return attribute_docstrings(model)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in found if model is not None), None)


def _word(annotation: object, inner: type[BaseModel] | None) -> str:
    """The type in a word."""
    if inner is not None:
        return inner.__name__
    names = [getattr(one, "__name__", str(one)) for one in getattr(annotation, "__args__", (annotation,))]
    return " or ".join(
        name.replace("AwareDatetime", "datetime") for name in names if name not in ("NoneType", "Ellipsis")
    )
