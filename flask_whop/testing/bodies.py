"""The bodies that the test kit delivers: samples, and whole bodies such as recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import TYPE_CHECKING, cast

from flask_whop.errors import CheckFailed
from flask_whop.events import AnyEvent
from flask_whop.events.fields import fill
from flask_whop.events.samples import fresh, type_of

if TYPE_CHECKING:
    from pydantic import JsonValue


def body_of(
    event: type[AnyEvent] | str | Mapping[str, object],
    data: Mapping[str, object] | None,
    pin: str | None,
    customer: Callable[[str], str],
    now: datetime,
) -> dict[str, JsonValue]:
    """Make the body of an event: a sample of it, or a copy of a whole body, with ``data`` in its payload.

    A sample happens now, and ``customer`` gives the key of whom an event of a type is about.

    Raises what :func:`~flask_whop.testing.sample` raises.
    """
    __tracebackhide__ = True
    if isinstance(event, Mapping):
        if pin is not None:
            raise CheckFailed("A pin chooses the shape of a sample, and a whole body has its own: leave out pin=.")
        body = cast("dict[str, JsonValue]", deepcopy(dict(event)))
        body.setdefault("data", {})
    else:
        event_type = type_of(event)
        body = fresh(event_type, pin, customer(event_type), now)
    fill(body, {f"data.{path}": value for path, value in (data or {}).items()})
    return body
