"""How Alembic reaches the shop's database: through the app that `flask db` has loaded."""

from __future__ import annotations

from alembic import context
from flask import current_app

from examples.course_shop.models import db

configured = current_app.extensions["migrate"].configure_args

if context.is_offline_mode():  # flask db upgrade --sql
    context.configure(url=db.engine.url, target_metadata=db.metadata, literal_binds=True, **configured)
    with context.begin_transaction():
        context.run_migrations()
else:
    with db.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=db.metadata, **configured)
        with context.begin_transaction():
            context.run_migrations()
