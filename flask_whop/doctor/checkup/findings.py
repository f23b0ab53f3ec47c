"""What the checks of an app find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How bad a finding is."""

    ERROR = "error"
    """Deliveries fail or are lost; ``flask whop doctor`` exits with 1."""
    WARNING = "warning"
    """It works, and something will go wrong some day, or is not as it seems."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with an app."""

    id: str
    """The same in each release (``W101``), for those who look for one."""
    level: Level
    what: str
    why: str
    """Why it matters."""
    mend: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One part of an app that has been looked at."""

    name: str
    summary: str
    """What it is like, in a line."""
    findings: Sequence[Finding] = ()

    @property
    def level(self) -> Level | None:
        """The worst of its findings; None if there is none."""
        return next((level for level in Level if any(one.level is level for one in self.findings)), None)


def error(identifier: str, what: str, why: str, mend: str) -> Finding:
    """Make a finding that lets ``flask whop doctor`` exit with 1."""
    return Finding(identifier, Level.ERROR, what, why, mend)


def warning(identifier: str, what: str, why: str, mend: str) -> Finding:
    """Make a finding that does not change the exit status."""
    return Finding(identifier, Level.WARNING, what, why, mend)


def note(identifier: str, what: str, why: str, mend: str) -> Finding:
    """Make a finding that is only good to know."""
    return Finding(identifier, Level.NOTE, what, why, mend)
