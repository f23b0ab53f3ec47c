"""A real delivery as a fixture for tests, with stand-ins for everything that may be personal.

What stays is on a list, not what goes: amounts, times, flags, counts that are listed here,
and words that Whop documents for their field. Every other text and number is replaced, ids
and fields that the models don't know included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from flask_whop.checks import is_pin
from flask_whop.errors import CheckFailed
from flask_whop.events.bodies import envelope_of, parse_object
from flask_whop.events.fields import ENVELOPE, model_in
from flask_whop.events.money import Money
from flask_whop.events.payload import Payload
from flask_whop.events.registry import event_class
from flask_whop.events.samples import vocabulary, words_of
from flask_whop.events.standins import TIME, StandIns

if TYPE_CHECKING:
    from pydantic import BaseModel, JsonValue

HARMLESS_NUMBERS: Final = frozenset(
    (
        *("ads", "amount_float", "amount_off", "average_review_rating", "billing_period", "billing_period_days"),
        *("cancel_discount_intervals", "cancel_discount_percentage", "cards", "commission_percentage"),
        *("conversion_threshold", "conversions", "count", "current", "decimals", "direct_reports_count"),
        *("display_decimals", "duration_seconds", "exchange_rate", "expiration_days"),
        *("financing_installments_count", "global_affiliate_percentage", "height"),
        *("high_risk_processing_fee_percentage", "hold_period_days", "installment_count"),
        *("maximum_impressions", "member_affiliate_percentage", "member_count", "multipart_chunk_size"),
        *("number_of_intervals", "order", "part_number", "payments_failed", "pending_auto_topup_fee_percentage"),
        *("pending_balance_delay_days", "per_days", "percentage", "percentage_fee", "period"),
        *("progress_percent", "published_reviews_count", "quantity", "settlement_exchange_rate", "size"),
        *("spent_last_month", "split_pay_current_payments", "split_pay_required_payments", "stock"),
        *("target_end_page_index", "target_question_index", "token_balance", "transfer_fee", "trial_period_days"),
        *("view_count", "width"),
    )
)
"""The fields whose numbers say nothing about a person. A new field isn't on it until somebody has thought of it."""

_AMOUNTS: Final = frozenset({"amount", "usd_amount", "precision"})
"""The texts that are amounts."""

_MORE_WORDS: Final = {
    "profile_type": ("individual", "business"),
    "status": ("review",),
    "type": ("dispute_rdr", "fraud"),
    "last_error_code": ("selfie_face_mismatch",),
}
"""Words that our docstrings list, and Whop's classes don't."""

_FORMATS: Final = ("v1", "v2", "v5")
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
_CODE = re.compile(r"[A-Za-z]{3}|usd[ct]|USD[CT]", re.ASCII)
_WORD = re.compile(r"[a-z][a-z0-9_]{1,40}", re.ASCII)
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,40}(\.[a-z0-9_]{1,40}){1,3}", re.ASCII)
_LAST_SECOND = 20_000_000_000


class Recording(NamedTuple):
    """What is left of a delivery."""

    text: str
    """The body as JSON, for a file."""
    replaced: int
    """How many values are stand-ins."""
    unknown: tuple[str, ...]
    """The fields that the models don't know, and those with a word that nobody documents."""


def record(body: bytes, delivery_id: str, key: str, *, keep: Collection[str] = ()) -> Recording:
    """Record a delivery: its body with stand-ins, made with ``key``, for everything that may be personal.

    ``keep`` names fields that stay as they are (``data.plan_id``), with everything in them.
    A body of Whop's legacy format becomes one of today's. Raises
    :class:`~flask_whop.errors.CheckFailed` if there is no such field, or if the body is
    nested hundreds of levels deep.
    """
    envelope = envelope_of(parse_object(body, delivery_id), delivery_id)
    recorder = _Recorder(StandIns(key), frozenset(keep))
    try:
        recorded = recorder.envelope(envelope)
        text = f"{json.dumps(recorded, indent=2)}\n"
    except RecursionError:
        raise CheckFailed("The body is nested too deeply to be recorded.") from None
    for path in keep:
        if path not in recorder.seen:
            near = get_close_matches(path, recorder.seen, 1)
            advice = f"; the nearest is {near[0]!r}" if near else ""
            raise CheckFailed(f"No field {path!r} in this delivery{advice}.")
    return Recording(text, recorder.replaced, tuple(dict.fromkeys(recorder.unknown)))


class _Recorder:
    """Goes through one body, and notes what it replaces."""

    def __init__(self, stand_ins: StandIns, keep: frozenset[str]) -> None:
        self._stand_ins = stand_ins
        self._keep = keep
        self.seen: set[str] = set()
        self.replaced = 0
        self.unknown: list[str] = []

    def envelope(self, envelope: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the envelope of an event without what may be personal."""
        cls = event_class(envelope.get("type"))
        model = Payload if cls is None else cls.payload_class
        recorded: dict[str, JsonValue] = {}
        for name, value in envelope.items():
            self.seen.add(name)
            if name in self._keep or _is_harmless_around(name, value):
                recorded[name] = value
            elif name in ("data", "previous_attributes") and isinstance(value, dict):
                recorded[name] = self._object(value, model, f"{name}.")
            elif name in ENVELOPE:
                recorded[name] = self._replace(value)
            else:
                recorded[self._name(name, name)] = self._undeclared(value, name)
        return recorded

    def _object(self, value: dict[str, JsonValue], model: type[BaseModel], before: str) -> dict[str, JsonValue]:
        recorded: dict[str, JsonValue] = {}
        for name, item in value.items():
            path = f"{before}{name}"
            self.seen.add(path)
            field = model.model_fields.get(name)
            if path in self._keep:
                recorded[name] = item
            elif field is None:
                recorded[self._name(name, path)] = self._undeclared(item, path)
            else:
                recorded[name] = self._field(name, field.annotation, item, path)
        return recorded

    def _field(self, name: str, annotation: object, value: JsonValue, path: str) -> JsonValue:
        """Return the value of a field that a model declares."""
        if path in self._keep:
            return value
        model = model_in(annotation)
        if isinstance(value, list):
            self.seen.update(f"{path}.{index}" for index in range(len(value)))
            return [self._field(name, annotation, item, f"{path}.{index}") for index, item in enumerate(value)]
        if isinstance(value, dict):
            return self._open(value, path) if model is None else self._object(value, model, f"{path}.")
        if value is None or (_is_amount(value) if model is Money else _is_harmless(name, path, str(annotation), value)):
            return value
        if isinstance(value, str) and _WORD.fullmatch(value) and words_of(name):
            self.unknown.append(path)
        return self._replace(value)

    def _open(self, value: JsonValue, path: str) -> JsonValue:
        """Return what nobody describes, with stand-ins for its names too."""
        self.seen.add(path)
        if path in self._keep:
            return value
        if isinstance(value, list):
            return [self._open(item, f"{path}.{index}") for index, item in enumerate(value)]
        if isinstance(value, dict):
            inside = ((name, f"{path}.{name}") for name in value)
            return {self._given(name, place): self._open(value[name], place) for name, place in inside}
        return self._replace(value)

    def _undeclared(self, value: JsonValue, path: str) -> JsonValue:
        self.unknown.append(path)
        return self._open(value, path)

    def _replace(self, value: JsonValue) -> JsonValue:
        self.replaced += value is not None
        return self._stand_ins.of(value)

    def _given(self, name: str, path: str) -> str:
        """Return a name that anybody may have given; it stays with what is kept in it."""
        kept = any(one == path or one.startswith(f"{path}.") for one in self._keep)
        return name if kept else self._stand_ins.name(name)

    def _name(self, name: str, path: str) -> str:
        """Return the name of a field that no model declares; it stays if all its words are Whop's."""
        return name if vocabulary().issuperset(name.split("_")) else self._given(name, path)


def _is_harmless_around(name: str, value: JsonValue) -> bool:
    """Whether a field of the envelope can stay."""
    if not isinstance(value, str):
        return value is None and name in ENVELOPE
    return (
        (name == "type" and (event_class(value) is not None or _TYPE.fullmatch(value) is not None))
        or (name == "api_version" and value in _FORMATS)
        or (name == "api_version_date" and is_pin(value))
        or (name == "timestamp" and TIME.fullmatch(value) is not None)
    )


def _is_harmless(name: str, path: str, kind: str, value: JsonValue) -> bool:
    """Whether the value of a field that a model declares as ``kind`` can stay."""
    if isinstance(value, bool):
        return "bool" in kind
    if isinstance(value, str):
        return (
            ("Datetime" in kind and TIME.fullmatch(value) is not None)
            or ("Decimal" in kind and _is_amount(value))
            or ("str" in kind and (value in words_of(name) or value in _MORE_WORDS.get(name, ())))
            or (("currency" in name or path.endswith("currency.code")) and _CODE.fullmatch(value) is not None)
            or (name in _AMOUNTS and _is_amount(value))
        )
    if not isinstance(value, (int, float)):
        return False
    if "Datetime" in kind:
        return abs(value) < _LAST_SECOND
    return "Decimal" in kind or (name in HARMLESS_NUMBERS and ("int" in kind or "float" in kind))


def _is_amount(value: JsonValue) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)
