"""Read payloads leniently: whatever doesn't fit is kept as sent, and named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from flask_whop.events.payload import Payload

PayloadT = TypeVar("PayloadT", bound="Payload")


def read_payload(model: type[PayloadT], value: JsonValue) -> tuple[PayloadT, tuple[str, ...]]:
    """Read ``value`` as ``model``, and name the places that don't fit; never raise.

    A value that doesn't fit is kept as sent. The names are paths such as
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
    """Return the sorted paths in ``value`` that ``error`` complains about, none inside another."""
    paths: set[Path] = set()
    for complaint in error.errors(include_url=False, include_context=False, include_input=False):
        place = _resolve(value, complaint["loc"])
        if complaint["type"] == "missing":
            place = (*place, complaint["loc"][-1])
        paths.add(place)
    return sorted(path for path in paths if not any(path[:length] in paths for length in range(len(path))))


def _resolve(value: JsonValue, loc: Path) -> Path:
    """Return the part of ``loc`` that exists in ``value``.

    Pydantic appends its own words to a location, such as the union member it tried.
    """
    for depth, step in enumerate(loc):
        try:
            value = value[step]  # type: ignore[index]  # a step that doesn't fit is what this looks for
        except (LookupError, TypeError):
            return loc[:depth]
    return loc


def _read_around(
    model: type[PayloadT], value: dict[str, JsonValue], places: list[Path]
) -> tuple[PayloadT, tuple[str, ...]]:
    """Read ``value`` without the values at ``places``, then put those back as sent."""
    if () in places:
        return _bare(model, value), ("",)
    rest = _without(value, places)
    try:
        payload = model.model_validate(rest)
    except ValidationError as error:
        # The check of another field depends on a value that was left out: keep both fields as sent.
        fields: list[Path] = sorted({place[:1] for place in (*places, *_places(error, rest))})
        return _read_around(model, value, fields if fields != places else [()])
    for place, indexes in _grouped(places):
        if indexes is None:
            _put_back(payload, place, _at(value, place))
        else:
            _insert(payload, place, {index: _at(value, (*place, index)) for index in indexes})
    return payload, tuple(".".join(map(str, place)) for place in places)


def _bare(model: type[PayloadT], value: dict[str, JsonValue]) -> PayloadT:
    """Return a payload with every value as sent, and None for a missing id."""
    payload = model.model_construct(None, **dict.fromkeys(_required(model)))
    # Not as keyword arguments: a field of Whop's could have the name of one of pydantic's own.
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
    """Return a copy of ``value`` without the values at ``places``."""
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
    # `id` is the only required field: a text replaces it until it's put back.
    return {**copy, "id": ""} if () in steps.get("id", ()) else copy


def _at(value: JsonValue, place: Path) -> JsonValue:
    """Return the value at ``place`` in ``value``; None if there is none."""
    for step in place:
        try:
            value = value[step]  # type: ignore[index]  # pydantic has been there
        except (LookupError, TypeError):
            return None
    return value


def _grouped(places: list[Path]) -> Iterator[tuple[Path, list[int] | None]]:
    """Yield the places in order, those in one list together: the place of the list, and the indexes of the items."""
    items: dict[Path, list[int]] = {}
    for place in places:
        if isinstance(place[-1], int):
            items.setdefault(place[:-1], []).append(place[-1])
    for place in places:
        if not isinstance(place[-1], int):
            yield place, None
        elif (indexes := items.pop(place[:-1], None)) is not None:
            yield place[:-1], indexes


def _put_back(payload: BaseModel, place: Path, value: JsonValue) -> None:
    """Set ``place`` in ``payload`` to ``value`` without validation."""
    *parents, last = place
    parent: object = payload
    for step in parents:
        parent = _child(parent, step)
    _set(parent, last, value)


def _insert(payload: BaseModel, place: Path, values: Mapping[int, JsonValue]) -> None:
    """Put items that were left out back into the list at ``place``, each at its index."""
    remaining: object = payload
    for step in place:
        remaining = _child(remaining, step)
    items = cast("tuple[object, ...] | list[object]", remaining)
    rest = iter(items)
    merged = (values[index] if index in values else next(rest) for index in range(len(items) + len(values)))
    _put_back(payload, place, cast("JsonValue", type(items)(merged)))


def _child(parent: object, step: str | int) -> object:
    if isinstance(parent, BaseModel):
        return getattr(parent, str(step))
    return cast("Mapping[str | int, object]", parent)[step]


def _set(parent: object, step: str | int, value: object) -> None:
    if isinstance(parent, BaseModel):
        object.__setattr__(parent, str(step), value)  # the model is frozen for its users, but still being made
        parent.__pydantic_fields_set__.add(str(step))
    else:
        cast("dict[str | int, object]", parent)[step] = value
