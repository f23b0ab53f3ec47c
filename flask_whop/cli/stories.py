"""What ``flask whop trigger`` delivers: samples, each about something of its own, and scenarios."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import click

from flask_whop.events.samples import fresh
from flask_whop.events.samples.facts import FIRST_MOMENT
from flask_whop.events.samples.scenarios import length_of, played

if TYPE_CHECKING:
    from pydantic import JsonValue

    from flask_whop.events.samples import Body


class Occasion(NamedTuple):
    """When events happen, and what makes them differ from those of another run."""

    seed: str
    now: datetime

    @classmethod
    def of(cls, seed: str | None, now: float) -> Occasion:
        """Take the seed, and with it always the same time; without one, now and something new."""
        if seed is None:
            return cls(uuid4().hex, datetime.fromtimestamp(now, tz=timezone.utc))
        return cls(seed, FIRST_MOMENT)

    def samples(self, event_type: str, pin: str | None, times: int) -> Iterator[Body]:
        """Make events, each about a resource of its own."""
        return (fresh(event_type, pin, key, self.now) for key in self._keys(times))

    def scenarios(self, name: str, pin: str | None, times: int, settings: Sequence[str]) -> Iterator[Body]:
        """Make the events of scenarios that end now, each about somebody else."""
        about = about_of(settings)
        for key in self._keys(times):
            for told in played(name, pin, key, self.now - length_of(name), about):
                yield told.body

    def _keys(self, times: int) -> Iterator[str]:
        return (f"{self.seed}/{number}" for number in range(times))


def about_of(settings: Sequence[str]) -> dict[str, dict[str, JsonValue]]:
    """Read what the things of a scenario are, from texts such as ``user.email=ada@example.com``."""
    about: dict[str, dict[str, JsonValue]] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        thing, _, field = path.partition(".")
        if not equals or not thing or not field or "." in field:
            raise click.UsageError(
                f"With --scenario, --set takes THING.FIELD=VALUE, such as user.email=a@b.c; it got {setting!r}."
            )
        about.setdefault(thing, {})[field] = value_of(text)
    return about


def value_of(text: str) -> JsonValue:
    """Read JSON; what isn't JSON is text."""
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except ValueError:
        return text
