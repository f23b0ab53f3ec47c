"""The pytest plugin of flask_whop: the fixture ``whop``.

pytest imports it in every run of an environment that has flask_whop installed, also
where nobody uses it. That is why it stands beside the package, whose ``__init__`` it
would import otherwise, and why it imports nothing but pytest before the fixture is
asked for.
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
    """Deliver Whop's events to ``app``, signed, and tell what came of them (flask_whop.testing.WhopTestClient)."""
    from flask_whop.testing import WhopTestClient  # noqa: PLC0415  # see above

    with WhopTestClient(app) as client:
        yield client
