"""Flask-WTF's protection against forged forms, from which our blueprints are exempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def exempt_from_csrf(app: Flask, blueprint: str) -> None:
    """Exempt a blueprint in Flask-WTF, which may be set up after it: call this at each request."""
    csrf = app.extensions.get("csrf")
    if csrf is not None and hasattr(csrf, "exempt"):
        csrf.exempt(app.blueprints[blueprint])
