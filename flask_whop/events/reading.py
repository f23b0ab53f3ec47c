"""The forgiving way in which payloads are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from flask_whop.events.payload import Payload

PayloadT = TypeVar("PayloadT", bound="Payload")


def read_payload(model: type[PayloadT], value: JsonValue) -> tuple[PayloadT, tuple[str, ...]]:
    """Read ``value`` as ``model`` and name the places that do not fit; never raise.

    What does not fit is kept as it came. The names are paths such as
    ``verifications.0.created_at``; the empty path is the payload itself.
    """
    try:
        return model.model_validate(value), ()
    except ValidationError as error:
        if not isinstance(value, dict):
            return _bare(model, {}), ("",)
        places = _places(error, value)
    return _read_around(model, value, places)


Path = tuple[str | int, ...]


def _places(error: ValidationError, value: JsonValue) -> list[Path]:
    """Where in ``value`` the complaints of ``error`` are, in the order of the paths."""
    found: set[Path] = set()
    for complaint in error.errors(include_url=False, include_context=False, include_input=False):
        place = _resolve(value, complaint["loc"])
        if complaint["type"] == "missing":
            place = (*place, complaint["loc"][-1])
        found.add(place)
    return sorted(place for place in found if not any(place[:n] in found for n in range(len(place))))


def _resolve(value: JsonValue, loc: Path) -> Path:
    """The part of ``loc`` that leads somewhere in ``value``.

    Pydantic appends words of its own to a location, such as the tried member of a union.
    """
    for depth, step in enumerate(loc):
        try:
            value = value[step]  # type: ignore[index]  # the steps that do not fit are what is looked for
        except (LookupError, TypeError):
            return loc[:depth]
    return loc


def _read_around(
    model: type[PayloadT], value: dict[str, JsonValue], places: list[Path]
) -> tuple[PayloadT, tuple[str, ...]]:
    """Read ``value`` without what stands at ``places``, then put that back as it came."""
    if () in places:
        return _bare(model, value), ("",)
    rest = _without(value, places)
    try:
        payload = model.model_validate(rest)
    except ValidationError as error:
        # A field whose check depends on what was taken out: both are kept as they came, whole.
        tops: list[Path] = sorted({place[:1] for place in (*places, *_places(error, rest))})
        return _read_around(model, value, tops if tops != places else [()])
    for place, several in _together(places):
        if several is None:
            _put_back(payload, place, _at(value, place))
        else:
            _insert(payload, place, {index: _at(value, (*place, index)) for index in several})
    return payload, tuple(".".join(map(str, place)) for place in places)


def _bare(model: type[PayloadT], value: dict[str, JsonValue]) -> PayloadT:
    """A payload with everything as it came, and None where an id is missing."""
    payload = model.model_construct(None, **dict.fromkeys(_required(model)))
    # Not by its keywords, among which Whop's could be taken for its own.
    declared = {key: item for key, item in value.items() if key in model.model_fields}
    vars(payload).update(declared)
    payload.__pydantic_fields_set__.update(declared)
    cast("dict[str, JsonValue]", payload.__pydantic_extra__).update(
        {key: item for key, item in value.items() if key not in declared}
    )
    return payload


def _required(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _without(value: JsonValue, places: list[Path]) -> JsonValue:
    """A copy of ``value`` that lacks what stands at ``places``."""
    steps: dict[str | int, list[Path]] = {}
    for place in places:
        steps.setdefault(place[0], []).append(place[1:])
    if isinstance(value, list):
        return [
            _without(item, steps[index]) if index in steps else item
            for index, item in enumerate(value)
            if () not in steps.get(index, ())
        ]
    parent = cast("dict[str, JsonValue]", value)
    copy = {
        key: _without(item, steps[key]) if key in steps else item
        for key, item in parent.items()
        if () not in steps.get(key, ())
    }
    # `id` is the one field that a model insists on: text of ours stands in until it is put back.
    return {**copy, "id": ""} if () in steps.get("id", ()) else copy


def _at(value: JsonValue, place: Path) -> JsonValue:
    """What stands at ``place`` in ``value``; None where nothing does."""
    for step in place:
        try:
            value = value[step]  # type: ignore[index]  # leads where pydantic has been
        except (LookupError, TypeError):
            return None
    return value


def _together(places: list[Path]) -> Iterator[tuple[Path, list[int] | None]]:
    """The places in their order, with those of the items of one list as one: the list's place, and their numbers."""
    items: dict[Path, list[int]] = {}
    for place in places:
        if isinstance(place[-1], int):
            items.setdefault(place[:-1], []).append(place[-1])
    for place in places:
        if not isinstance(place[-1], int):
            yield place, None
        elif (several := items.pop(place[:-1], None)) is not None:
            yield place[:-1], several


def _put_back(payload: BaseModel, place: Path, value: JsonValue) -> None:
    """Set what stands at ``place`` below ``payload`` to ``value``, past all validation."""
    *way, last = place
    holder: object = payload
    for step in way:
        holder = _child(holder, step)
    _set(holder, last, value)


def _insert(payload: BaseModel, place: Path, values: Mapping[int, JsonValue]) -> None:
    """Put items back into the list at ``place`` that were left out of it, each at its number."""
    left: object = payload
    for step in place:
        left = _child(left, step)
    items = cast("tuple[object, ...] | list[object]", left)
    rest = iter(items)
    merged = (values[number] if number in values else next(rest) for number in range(len(items) + len(values)))
    _put_back(payload, place, cast("JsonValue", type(items)(merged)))


def _child(holder: object, step: str | int) -> object:
    if isinstance(holder, BaseModel):
        return getattr(holder, str(step))
    return cast("Mapping[str | int, object]", holder)[step]


def _set(holder: object, step: str | int, value: object) -> None:
    if isinstance(holder, BaseModel):
        # The model is frozen for its users; this is still its making.
        object.__setattr__(holder, str(step), value)
        holder.__pydantic_fields_set__.add(str(step))
    else:
        cast("dict[str | int, object]", holder)[step] = value
