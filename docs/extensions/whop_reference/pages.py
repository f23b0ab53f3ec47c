"""All generated pages, without Sphinx."""

from __future__ import annotations

from collections.abc import Iterator

from whop_reference import commands, events, findings, metrics, settings, signals


def pages() -> Iterator[tuple[str, str]]:
    """Yield each page: its path in the folder of generated pages, and its text."""
    yield "settings.md", settings.page()
    yield "signals.md", signals.page()
    yield "commands.md", commands.page()
    yield "findings.md", findings.page()
    yield "rejections.md", findings.rejections()
    yield "metrics.md", metrics.page()
    yield from events.pages()
