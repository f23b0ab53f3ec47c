"""A shop with a database of its own; the fixture ``whop``, which delivers to it, comes with flask_whop."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from werkzeug.security import generate_password_hash

from examples.course_shop import create_app
from examples.course_shop.models import db

PASSWORD = "correct horse"


def shop_in(folder: Path) -> Flask:
    return create_app(
        {
            "TESTING": True,
            "SECRET_KEY": secrets.token_hex(),
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'shop.sqlite3'}",
            "STAFF_PASSWORD_HASH": generate_password_hash(PASSWORD, "pbkdf2:sha256:1"),
            "OUTBOX": folder / "outbox",
            "WHOP_WEBHOOK_SECRET": f"ws_{secrets.token_hex(32)}",
        }
    )


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a database, once for all tests, which copy it."""
    folder = tmp_path_factory.mktemp("migrated")
    with shop_in(folder).app_context():
        upgrade()
        db.engine.dispose()
    return folder / "shop.sqlite3"


@pytest.fixture
def app(tmp_path: Path, migrated: Path) -> Iterator[Flask]:
    shutil.copy(migrated, tmp_path)
    app = shop_in(tmp_path)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def staff(app: Flask) -> FlaskClient:
    """A browser in which the staff has logged in."""
    client = app.test_client()
    client.post("/login", data={"password": PASSWORD})
    return client
