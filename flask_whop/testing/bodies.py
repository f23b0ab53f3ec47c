"""The bodies that the test kit delivers: samples, and whole bodies such as recordings."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, cast

from flask_whop.errors import CheckFailed
from flask_whop.events import AnyEvent
from flask_whop.events.fields import fill
from flask_whop.events.samples import sample, type_of

if TYPE_CHECKING:
    from pydantic import JsonValue


def body_of(
    event: type[AnyEvent] | str | Mapping[str, object], data: Mapping[str, object] | None, pin: str | None
) -> dict[str, JsonValue]:
    """Make the body of an event: a sample of it, or a copy of a whole body, with ``data`` in its payload.

    Raises what :func:`~flask_whop.testing.sample` raises.
    """
    __tracebackhide__ = True
    if isinstance(event, Mapping):
        if pin is not None:
            raise CheckFailed("A pin chooses the shape of a sample, and a whole body has its own: leave out pin=.")
        body = cast("dict[str, JsonValue]", deepcopy(dict(event)))
        body.setdefault("data", {})
    else:
        body = sample(type_of(event), pin)
    fill(body, {f"data.{path}": value for path, value in (data or {}).items()})
    return body
