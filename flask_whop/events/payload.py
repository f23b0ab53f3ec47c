"""What all payloads have in common."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

ItemT = TypeVar("ItemT")


class Payload(BaseModel):
    """The ``data`` of an event.

    Fields that are not declared are kept, and answer as attributes all the same. The
    words that a docstring lists for a field are those that are known: Whop adds to them
    without notice, so that they are text, and a ``match`` on them needs a last case. A
    payload cannot be changed, since all receivers of an event share it.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="allow",
        frozen=True,
        defer_build=True,
        protected_namespaces=(),
    )


class Reference(Payload):
    """A part of a payload that stands for a resource of its own at Whop."""

    id: str


def _none_as_empty(value: object) -> object:
    return () if value is None else value


Timestamp: TypeAlias = AwareDatetime
"""A time with its zone, from ISO 8601 text or from unix seconds.

A time without a zone could be any, so that it stays the text that it was, as drift.
"""

Items = Annotated[tuple[ItemT, ...], BeforeValidator(_none_as_empty)]
"""A list of Whop's as a tuple, empty where Whop sends null."""
