"""The pytest plugin: the fixture ``whop``.

pytest imports it in every run of an environment that has flask_whop installed, so it
imports nothing but pytest until a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from flask_whop.testing import WhopTestClient


@pytest.fixture
def whop(app: Flask) -> Iterator[WhopTestClient]:
    """Deliver Whop's events to ``app``, signed, and report what became of them (flask_whop.testing.WhopTestClient)."""
    from flask_whop.testing import WhopTestClient  # noqa: PLC0415  # see above

    with WhopTestClient(app) as client:
        yield client
