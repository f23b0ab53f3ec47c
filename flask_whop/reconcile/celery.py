"""A Celery task that pulls, for a beat schedule: ``flask_whop.pull``, every ten minutes, say.

It's there with ``WHOP_DISPATCH = "celery"``, for each Celery app of the process. Its
webhooks are those that deliver to ``WHOP_PUBLIC_URL``.
"""

from __future__ import annotations

from typing import Final

from celery import shared_task

from flask_whop.engine.celery import installation_of_task
from flask_whop.reconcile.pull import pull_all
from flask_whop.reconcile.webhooks import api_of, chosen

PULL: Final = "flask_whop.pull"
"""The name of the task."""


def pull() -> int:
    """Accept what Whop's delivery log has and the store hasn't, and return how many deliveries that were."""
    installation = installation_of_task()
    with api_of(installation) as api:
        return pull_all(installation, api, chosen(installation, api)).total()


shared_task(name=PULL, ignore_result=True)(pull)
