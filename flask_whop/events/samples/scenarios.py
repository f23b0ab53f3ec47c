"""Scenarios: the deliveries of one story, about the same things from the first to the last.

``scenarios.json`` has them: what is true in a scenario, and its events, each with the time
at which it happens and what is true from then on. A scenario may go on ``after`` another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from flask_whop.errors import CheckFailed
from flask_whop.events.samples import made
from flask_whop.events.samples.facts import Scene, duration

if TYPE_CHECKING:
    from pydantic import JsonValue
    from typing_extensions import NotRequired

    from flask_whop.events.samples import Body
    from flask_whop.events.samples.facts import Facts


class _Step(TypedDict):
    event: str
    at: str
    facts: NotRequired[dict[str, dict[str, JsonValue]]]


class _Scenario(TypedDict):
    about: str
    after: NotRequired[str]
    facts: dict[str, dict[str, JsonValue]]
    steps: list[_Step]


class Delivered(NamedTuple):
    """One delivery of a scenario."""

    after: timedelta
    """How long after the beginning it happens."""
    body: Body


def scenarios() -> dict[str, str]:
    """Return what each scenario is about, by name."""
    return {name: scenario["about"] for name, scenario in _scenarios().items()}


def length_of(name: str) -> timedelta:
    """Return how long a scenario takes.

    Raises :class:`~flask_whop.errors.CheckFailed` if there's none of this name.
    """
    return duration(_scenario(name)["steps"][-1]["at"])


def types_of(name: str) -> set[str]:
    """Return the types of the events of a scenario.

    Raises :class:`~flask_whop.errors.CheckFailed` if there's none of this name.
    """
    return {event for event, _, _ in _told(name)}


def played(
    name: str,
    pin: str | None,
    key: str,
    began: datetime,
    about: Facts,
) -> Sequence[Delivered]:
    """Return the deliveries of a scenario in the order in which they happen, with ids that depend on ``key``.

    ``about`` replaces fields of its things.

    Raises :class:`~flask_whop.errors.CheckFailed` if there's no such scenario, or nothing in
    it has such a field.
    """
    asked: set[tuple[str, str]] = set()
    deliveries = []
    for step, (event, after, facts) in enumerate(_told(name)):
        told = [about, facts]
        scene = Scene(event, key=key, now=began + after, began=began, told=told, step=step + 1, asked=asked)
        deliveries.append(Delivered(after, made(scene, pin)))
    _check_all_used(name, about, asked)
    return deliveries


def _told(name: str) -> Iterator[tuple[str, timedelta, Facts]]:
    """Yield the events of a scenario, when each happens, and what is true then."""
    scenario = _scenario(name)
    true: dict[str, dict[str, JsonValue]] = {}
    if "after" in scenario:
        for event, after, facts in _told(scenario["after"]):
            true = {thing: dict(fields) for thing, fields in facts.items() if thing != "previous_attributes"}
            yield event, after, facts
    _add(true, scenario["facts"])
    for step in scenario["steps"]:
        facts = step.get("facts", {})
        _add(true, {thing: fields for thing, fields in facts.items() if thing != "previous_attributes"})
        # What changed is true of one event alone.
        changed = {"previous_attributes": facts.get("previous_attributes", {})}
        yield step["event"], duration(step["at"]), {**true, **changed}


def _add(true: dict[str, dict[str, JsonValue]], facts: Facts) -> None:
    for thing, fields in facts.items():
        true[thing] = {**true.get(thing, {}), **fields}


def _scenario(name: str) -> _Scenario:
    if name not in _scenarios():
        raise CheckFailed(f"There's no scenario called {name!r}. There are {', '.join(_scenarios())}.")
    return _scenarios()[name]


def _check_all_used(name: str, about: Mapping[str, Mapping[str, object]], asked: set[tuple[str, str]]) -> None:
    known = sorted({f"{thing}.{field}" for thing, field in asked})
    for thing, fields in about.items():
        for field in fields:
            if (thing, field) not in asked:
                near = get_close_matches(f"{thing}.{field}", known, n=3, cutoff=0.6)
                advice = f" Did you mean {' or '.join(near)}?" if near else ""
                raise CheckFailed(f"Nothing in the scenario {name!r} has {thing}.{field}.{advice}")


@cache
def _scenarios() -> dict[str, _Scenario]:
    text = files("flask_whop.events.samples").joinpath("scenarios.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]
