"""What ``celery -A`` imports in the crash tests."""

from __future__ import annotations

from tests.crash.shop import create_app

app = create_app()
celery = app.extensions["celery"]
