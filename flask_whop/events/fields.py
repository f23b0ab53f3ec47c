"""The fields that a body has: set by their paths, and refused if there is no such field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pydantic import BaseModel

from flask_whop.errors import CheckFailed
from flask_whop.events.registry import event_class

if TYPE_CHECKING:
    from pydantic import JsonValue

    Body: TypeAlias = dict[str, JsonValue]

ENVELOPE: Final = (
    *("id", "type", "api_version", "api_version_date", "timestamp", "company_id", "account_id"),
    *("previous_attributes", "data"),
)
"""The fields around a payload, in every version of the envelope."""

_NEAR = 0.6
_LISTED = 20


def fill(body: Body, changes: Mapping[str, object]) -> None:
    """Set fields of ``body`` by their paths, such as ``data.user.email`` or ``data.verifications.0.status``.

    An object is merged into the one that is there, and anything else replaces what is
    there. Raises :class:`~flask_whop.errors.CheckFailed` for a field that neither the
    body nor the model of its payload has.
    """
    __tracebackhide__ = True  # in a test's traceback, as in the methods below
    if not changes:
        return
    event_type = str(body.get("type"))
    cls = event_class(event_type)
    payload = _Kind(None if cls is None else cls.payload_class)
    envelope = _Kind(inner={**dict.fromkeys(ENVELOPE, _LEAF), "previous_attributes": _OPEN, "data": payload})
    for path, value in changes.items():
        _Setting(event_type, path).apply(body, envelope, path.split("."), value)


def model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that a field holds: itself, one or none, or several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = (model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in models if model is not None), None)


def is_documented(model: type[BaseModel]) -> bool:
    """Whether Whop says which fields there are, apart from the id."""
    return not model.model_fields.keys() <= {"id"}


class _Kind(NamedTuple):
    """What may stand at a place: an object with the fields of a model, or one with any fields, or no object."""

    model: type[BaseModel] | None = None
    inner: Mapping[str, _Kind] | None = None
    is_leaf: bool = False

    def names(self, holder: Mapping[str, object]) -> list[str] | None:
        """The names that the fields of ``holder`` may have; None if any will do."""
        if self.inner is not None:
            return [*dict.fromkeys((*self.inner, *holder))]
        if self.model is None or not is_documented(self.model):
            return None
        return [*dict.fromkeys((*self.model.model_fields, *holder))]

    def of(self, name: str) -> _Kind:
        """The kind of a field."""
        if self.inner is not None:
            return self.inner.get(name, _OPEN)
        if self.model is None or name not in self.model.model_fields:
            return _OPEN
        annotation = self.model.model_fields[name].annotation
        model = model_in(annotation)
        return _Kind(model, is_leaf=model is None and "dict[" not in str(annotation))


_OPEN: Final = _Kind()
_LEAF: Final = _Kind(is_leaf=True)


class _Setting(NamedTuple):
    """One change, which its errors name."""

    event_type: str
    path: str

    def apply(self, holder: JsonValue, kind: _Kind, steps: Sequence[str], value: object, before: str = "") -> None:
        """Set what is at ``steps`` in ``holder``, which is at the path ``before``."""
        __tracebackhide__ = True
        step, *rest = steps
        here = f"{before}{step}"
        if isinstance(holder, list):
            if not step.isdecimal() or int(step) >= len(holder):
                raise CheckFailed(f"No item {step!r} in {before[:-1]}, which has {len(holder)}: they count from 0.")
            holder[int(step)] = self._value(holder[int(step)], kind, rest, value, here)
        elif isinstance(holder, dict):
            self._check(step, kind, holder, before)
            current = holder.get(step)
            if rest and current is None and holder.get(f"{step}_id") is not None:
                current = {"id": holder[f"{step}_id"]}  # an object without its id would be drift
            holder[step] = self._value(current, kind.of(step), rest, value, here)

    def _value(self, current: JsonValue, kind: _Kind, rest: Sequence[str], value: object, here: str) -> JsonValue:
        """Return what takes the place of ``current``."""
        __tracebackhide__ = True
        if rest:
            if not isinstance(current, (dict, list)):
                if kind.is_leaf:
                    raise CheckFailed(f"No field {self.path!r} in {self._where(here)}; {here} has no parts.")
                current = {}
            self.apply(current, kind, rest, value, f"{here}.")
            return current
        if isinstance(value, Mapping):
            merged = current if isinstance(current, dict) else {}
            for name, item in value.items():
                self.apply(merged, kind, [str(name)], item, f"{here}.")
            return merged
        if isinstance(value, (list, tuple)):
            return [self._value(None, kind, (), item, here) for item in value]
        return value  # type: ignore[return-value]  # what isn't JSON is told when it's written

    def _check(self, name: str, kind: _Kind, holder: Mapping[str, JsonValue], before: str) -> None:
        __tracebackhide__ = True
        names = kind.names(holder)
        if names is None or name in names:
            return
        # What is in the payload is named as the kit's `data` does, from there.
        inside = before.removeprefix("data.")
        near = _nearest(name, names, kind)
        advice = f"it has {', '.join(names[:_LISTED])}" if near is None else f"the nearest is {f'{inside}{near}'!r}"
        raise CheckFailed(f"No field {f'{inside}{name}'!r} in {self._where(before)}; {advice}.")

    def _where(self, path: str) -> str:
        return f"the {'payload' if path.startswith('data.') else 'envelope'} of {self.event_type}"


def _nearest(name: str, names: Sequence[str], kind: _Kind) -> str | None:
    """Return the field that ``name`` may have meant: one of ``names``, or one inside of them."""
    near = get_close_matches(name, names, 1, _NEAR)
    if near:
        return near[0]
    inside = {inner: f"{outer}.{inner}" for outer in reversed(names) for inner in kind.of(outer).names({}) or ()}
    near = get_close_matches(name, inside, 1, _NEAR)
    return inside[near[0]] if near else None
