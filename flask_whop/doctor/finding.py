"""The one record for whatever is wrong, with a request or with an app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How bad a finding is."""

    ERROR = "error"
    """Deliveries fail or are lost; ``flask whop doctor`` exits with 1."""
    WARNING = "warning"
    """It works, but something will go wrong one day, or isn't what it seems."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong; it holds no secret and no signature."""

    id: str
    """Stable across releases: ``W101`` for an app, the name of a :class:`.Mistake` for a request."""
    what: str
    """What was found."""
    why: str
    """Why it matters."""
    fix: str
    """What to do about it."""
    level: Level = Level.ERROR

    def of(self, **words: object) -> Finding:
        """Fill the gaps in its texts: ``{name}``."""
        what, why, fix = (text.format_map(words) for text in (self.what, self.why, self.fix))
        return Finding(self.id, what, why, fix, self.level)

    def __str__(self) -> str:
        """Say it in one line, for a log."""
        return f"{self.what} {self.why} {self.fix}"


@dataclass(frozen=True, slots=True)
class Check:
    """One part of an app that was checked."""

    name: str
    summary: str
    """Its state, in one line."""
    findings: Sequence[Finding] = ()

    @property
    def level(self) -> Level | None:
        """The worst level among its findings; None if there are none."""
        return next((level for level in Level if any(finding.level is level for finding in self.findings)), None)
