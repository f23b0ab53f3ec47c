"""The inbox: a page on which people see what came, what became of it, and run it again."""

from flask_whop.inbox.access import Authorize as Authorize
from flask_whop.inbox.inbox import WhopInbox as WhopInbox
