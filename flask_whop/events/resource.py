"""Payloads that read the same from each of the shapes Whop sends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import ClassVar, NamedTuple, cast, get_args

from pydantic import BaseModel, model_validator
from pydantic.fields import FieldInfo

from flask_whop.events.money import Money
from flask_whop.events.payload import Payload


class Linked(Payload):
    """A payload whose fields fill in each other, so every shape reads the same.

    - A field ``x_id`` next to an object ``x`` is filled in from the object's id. An id
      sent instead of the object is read as an object with that id.
    - A field that Whop renamed has both names; ``RENAMES`` maps each older name to the
      newer one.
    - A bare amount of money gets the currency next to it.
    """

    RENAMES: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _take_ids(cls, value: object) -> object:
        """Read an id sent instead of an object as an object with only that id."""
        return _links(cls).with_objects(value) if isinstance(value, dict) else value

    def model_post_init(self, _context: object, /) -> None:
        """Fill in values that came under another name or in another form."""
        # Past the model, which is frozen for its users, but still being made.
        _links(type(self)).fill(cast("dict[str, object]", self.__dict__))


class Resource(Linked):
    """A payload with an id at Whop.

    Whop sends null for everything the app may not read, so only ``id`` is certain.
    """

    id: str


class _Links(NamedTuple):
    """Which fields of a payload fill in which others."""

    renamed: tuple[tuple[str, str], ...]
    ids: tuple[tuple[str, str], ...]
    objects: tuple[str, ...]
    renamed_ids: tuple[tuple[str, str], ...]
    currencies: tuple[tuple[str, str], ...]
    dollars: tuple[str, ...]

    def with_objects(self, values: dict[str, object]) -> dict[str, object]:
        for name in self.objects:
            value = values.get(name)
            if isinstance(value, str) and _ID.fullmatch(value):
                values = {**values, name: {"id": value}}
        return values

    def fill(self, values: dict[str, object]) -> None:
        for older, newer in self.renamed:
            _share(values, older, newer)
        for id_name, name in self.ids:
            if values.get(id_name) is None:
                values[id_name] = _id_of(values.get(name))
        for older, newer in self.renamed_ids:
            _share(values, older, newer)
        for name, currency in self.currencies:
            _denominate(values.get(name), values.get(currency))
        for name in self.dollars:
            _denominate(values.get(name), "usd")


# Whop's format, such as `user_8Kx2`.
_ID = re.compile(r"[a-z]+_[0-9A-Za-z]{1,64}")
# Whop renamed companies to accounts everywhere.
_RENAMED = {"company": "account", "company_id": "account_id"}


@cache
def _links(model: type[Linked]) -> _Links:
    fields = model.model_fields
    pairs = [
        (older, newer)
        for older, newer in (*_RENAMED.items(), *model.RENAMES.items())
        if older in fields and newer in fields
    ]
    money = [name for name, field in fields.items() if "Money" in str(field.annotation)]
    dollars = [name for name in money if "usd" in name.split("_")]
    ids = tuple((name, name[:-3]) for name in fields if name.endswith("_id") and name[:-3] in fields)
    return _Links(
        renamed=tuple(pair for pair in pairs if not pair[0].endswith("_id")),
        ids=ids,
        objects=tuple(name for _, name in ids if _is_object(fields[name])),
        renamed_ids=tuple(pair for pair in pairs if pair[0].endswith("_id")),
        currencies=tuple(
            (name, currency)
            for name in money
            if name not in dollars
            for currency in _currencies(name)
            if currency in fields
        ),
        dollars=tuple(dollars),
    )


def _is_object(field: FieldInfo) -> bool:
    kinds = (field.annotation, *get_args(field.annotation))
    return any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds)


def _currencies(name: str) -> Iterator[str]:
    """Yield the fields that may have the currency of the amount ``name``, likeliest first.

    For ``settlement_amount`` it's ``settlement_currency``, else ``currency``.
    """
    words = name.split("_")
    for length in range(len(words), 0, -1):
        yield "_".join((*words[:length], "currency"))
    yield "currency"


def _share(values: dict[str, object], older: str, newer: str) -> None:
    if values.get(newer) in (None, ()):
        values[newer] = values.get(older)
    elif values.get(older) in (None, ()):
        values[older] = values[newer]


def _id_of(value: object) -> object:
    if isinstance(value, BaseModel):
        return getattr(value, "id", None)
    return value.get("id") if isinstance(value, dict) else None


def _denominate(money: object, currency: object) -> None:
    if isinstance(money, Money) and money.currency is None and isinstance(currency, str):
        object.__setattr__(money, "currency", currency)
