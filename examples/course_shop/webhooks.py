"""The extension, apart from the app that it is set up for, so receivers can import it."""

from __future__ import annotations

from examples.course_shop.models import db
from flask_whop import WhopWebhooks
from flask_whop.stores.sqlalchemy import SessionStore

# In the shop's own database, what a receiver writes and the receipt that it's done are one transaction.
whop = WhopWebhooks(store=SessionStore(db))
