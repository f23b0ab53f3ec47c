"""The base classes of all payloads."""

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

    Undeclared fields are kept, and are attributes too. The words a field's docstring lists
    are the known ones: Whop adds more without notice, so they're plain text, and a
    ``match`` on them needs a default case. Payloads are frozen, since all receivers of an
    event share them.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="allow", frozen=True, defer_build=True, protected_namespaces=()
    )

    def __hash__(self) -> int:
        """Hash the id only: undeclared values may not be hashable."""
        return hash((type(self), _id_of(self)))

    def __repr__(self) -> str:
        """Show only class and id: payloads have personal data, and reprs end up in logs and error trackers."""
        resource_id = _id_of(self)
        return f"<{type(self).__name__}{'' if resource_id is None else f' {shown(resource_id, _SHOWN)}'}>"

    def __str__(self) -> str:
        """Show the fields, up to a length, for anyone who asks for them."""
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _id_of(payload: Payload) -> str | None:
    value = vars(payload).get("id")
    return value if isinstance(value, str) else None


class _FieldFirst:
    """A method of pydantic's that gives way to an undeclared field of the same name."""

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
    """A part of a payload that refers to another resource at Whop."""

    id: str


def _none_as_empty(value: object) -> object:
    return () if value is None else value


Items = Annotated[tuple[ItemT, ...], BeforeValidator(_none_as_empty)]
"""A list from Whop as a tuple, empty if Whop sends null."""
