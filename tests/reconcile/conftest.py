"""A fake Whop, and a site of the served app that is pointed at it."""

from __future__ import annotations

import pytest

from flask_whop.testing import FakeWhop
from tests.reconcile.processes import Site


@pytest.fixture
def whop():
    with FakeWhop() as whop:
        yield whop


@pytest.fixture
def site(tmp_path, whop):
    site = Site(tmp_path, whop)
    yield site
    site.close()
