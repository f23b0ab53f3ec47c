"""Stores by SQLAlchemy: PostgreSQL, MySQL and MariaDB by URL, and the host's own session.

::

    pip install "flask-whop[postgresql]"     # or [mysql], or [sqlalchemy] with a driver of your own
"""

from __future__ import annotations

from flask_whop.errors import MissingExtraError

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401  # the extra that the modules below need
except ImportError:
    raise MissingExtraError('A store in this database needs: pip install "flask-whop[sqlalchemy]"') from None

from flask_whop.stores.engines import make_engine as make_engine
from flask_whop.stores.server import SQLAlchemyStore as SQLAlchemyStore
from flask_whop.stores.session import Session as Session
from flask_whop.stores.session import SessionExtension as SessionExtension
from flask_whop.stores.session import SessionStore as SessionStore
