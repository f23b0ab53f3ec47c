"""What all payloads have in common."""

from __future__ import annotations

from inspect import getattr_static
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from flask_whop.names import shown

_SHOWN = 100
_LONGEST = 10_000

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

    def __hash__(self) -> int:
        """Go by the id alone: what Whop adds may have no hash."""
        named = self.__dict__.get("id")
        return hash((type(self), named if isinstance(named, str) else None))

    def __repr__(self) -> str:
        """Name class and id alone: payloads hold personal data, and reprs end up in logs and error trackers."""
        named = self.__dict__.get("id")
        return f"<{type(self).__name__}{f' {shown(named, _SHOWN)}' if isinstance(named, str) else ''}>"

    def __str__(self) -> str:
        """Show the fields, for whoever asks for them, up to some length."""
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class _FieldFirst:
    """A method of pydantic's whose name Whop may give to a field: where it has, the field answers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._method: Any = getattr_static(BaseModel, name)

    def __get__(self, payload: Payload | None, owner: type[Payload]) -> object:
        extra = None if payload is None else payload.__pydantic_extra__
        if extra and self._name in extra:
            return extra[self._name]
        return self._method.__get__(payload, owner)


for _name in dir(BaseModel):
    if not _name.startswith(("_", "model_")):
        setattr(Payload, _name, _FieldFirst(_name))


class Reference(Payload):
    """A part of a payload that stands for a resource of its own at Whop."""

    id: str


def _none_as_empty(value: object) -> object:
    return () if value is None else value


Items = Annotated[tuple[ItemT, ...], BeforeValidator(_none_as_empty)]
"""A list of Whop's as a tuple, empty where Whop sends null."""
