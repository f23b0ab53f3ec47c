"""A stand-in for Whop's side: its API, its delivery log, and deliveries that it really sends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING

from flask_whop.checks import new_secret
from flask_whop.events import AnyEvent
from flask_whop.events.samples import type_of
from flask_whop.testing.bodies import body_of
from flask_whop.testing.customers import Customers
from flask_whop.testing.fake.api import FakeApi, Trouble
from flask_whop.testing.fake.server import Asked, FakeServer, Reply
from flask_whop.testing.fake.webhook import SUCCESS, FakeWebhook, iso_of, post

if TYPE_CHECKING:
    from pydantic import JsonValue
    from typing_extensions import Self

_PAGE = 20


class FakeWhop:
    """A real HTTP server on the loopback that behaves as Whop's API does, and delivers as Whop does.

    ::

        with FakeWhop() as whop:
            hook = whop.webhook("http://127.0.0.1:5000/webhooks/whop", ["payment.succeeded"])
            whop.send("payment.succeeded")

    Point an app at it with ``WHOP_API_URL = whop.url`` and ``WHOP_API_KEY = whop.key``.

    ``page_size`` is the most rows of a page, whatever is asked for. ``rate_limit`` is how
    many calls of an operation a minute are answered; the others get a 429. A row of the
    log appears ``log_delay`` seconds after its attempt. ``clock`` gives the unix time.
    """

    def __init__(
        self,
        *,
        page_size: int = _PAGE,
        rate_limit: int = 600,
        log_delay: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.key: str = f"apik_{token_hex(16)}"
        """The one key that it accepts."""
        self.webhooks: dict[str, FakeWebhook] = {}
        """By their ids."""
        self.permissions: set[str] = {"developer:manage_webhook"}
        """What the key may do, apart from receiving, which it may if ``receives`` is true."""
        self.receives: bool = True
        self.asked: list[Asked] = []
        """All calls, in their order."""
        self.page_size: int = page_size
        self.log_delay: float = log_delay
        self.clock: Callable[[], float] = clock
        self._numbers = count(1)
        self._lock = threading.RLock()
        self._customers = Customers()
        self._appears: dict[str, float] = {}
        self._api = FakeApi(self, rate_limit)
        self._server = FakeServer(self._answer)

    @property
    def refused_for_rate(self) -> int:
        """How many calls were over the limit."""
        return self._api.refused_for_rate

    @property
    def url(self) -> str:
        """The base address, for ``WHOP_API_URL``."""
        return f"{self._server.address}/api/v1"

    def __enter__(self) -> Self:
        """Start the server."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self._server.stop()

    # What happens at Whop.

    def webhook(
        self, url: str, events: Sequence[str], *, secret: str | None = None, **fields: JsonValue
    ) -> FakeWebhook:
        """Create a webhook, as the dashboard does."""
        with self._lock:
            made = FakeWebhook(
                f"hook_{next(self._numbers):06}",
                url,
                list(events),
                secret or new_secret(),
                **fields,  # type: ignore[arg-type]
            )
            self.webhooks[made.id] = made
        return made

    def send(
        self,
        event: type[AnyEvent] | str,
        *,
        data: Mapping[str, JsonValue] | None = None,
        id: str | None = None,  # noqa: A002  # the field's name in what Whop sends
        logged: Mapping[str, JsonValue] | None = None,
    ) -> str:
        """Let an event happen: deliver it to each webhook that is enabled and subscribed; return its id.

        Events of one type are each about another customer. ``data`` sets fields of the
        sample's ``data``. With ``logged`` nothing is sent, and the log says this of an
        attempt that was: ``success``, ``sent_at`` and so on.
        """
        event_type = type_of(event)
        event_id = id or f"msg_{token_hex(10)}"
        for hook in list(self.webhooks.values()):
            if not hook.enabled or event_type not in hook.events:
                continue
            body = self.body_of(event_type, hook, event_id, data)
            if logged is None:
                self.deliver(hook, body)
            else:
                self.add_row(hook, body, logged)
        return event_id

    def body_of(
        self, event_type: str, hook: FakeWebhook, event_id: str, data: Mapping[str, object] | None = None
    ) -> dict[str, JsonValue]:
        """Make the body of an event that happens now, in the shape of a webhook."""
        now = datetime.fromtimestamp(self.clock(), tz=timezone.utc)
        with self._lock:
            customer = self._customers.of(event_type, event_id)
        return {**body_of(event_type, data, hook.api_version_date, lambda _: customer, now), "id": event_id}

    def deliver(self, hook: FakeWebhook, body: Mapping[str, JsonValue], *, replayed_from: str | None = None) -> int:
        """Deliver a body, signed; log the attempt, and return the status of the answer, 0 if there is none."""
        started = self.clock()
        status, answer = post(hook.url, body, hook.secret)
        success = status in SUCCESS
        with self._lock:
            if success:
                hook.failing_since, hook.consecutive_failures = None, 0
            else:
                hook.failing_since = hook.failing_since or iso_of(started)
                hook.consecutive_failures += 1
        fields: dict[str, JsonValue] = {
            "sent_at": iso_of(started),
            "success": success,
            "response_code": status,
            "response_body": answer,
            "replayed_from": replayed_from,
        }
        self.add_row(hook, body, fields)
        return status

    def retry(self) -> int:
        """Deliver again, once, what no attempt has delivered yet, as Whop's schedule does; return how often it did."""
        tried = 0
        for hook in list(self.webhooks.values()):
            arrived = [_id_of(row) for row in hook.log if row["success"]]
            failed = {_id_of(row): row["request_body"] for row in hook.log if _id_of(row) not in arrived}
            for body in failed.values():
                if hook.enabled and isinstance(body, dict):
                    self.deliver(hook, body)
                    tried += 1
        return tried

    def disable(self, hook: FakeWebhook) -> None:
        """Disable a webhook as Whop does after three days of failures."""
        hook.enabled, hook.disabled_at, hook.disabled_reason = False, iso_of(self.clock()), "delivery_failures"

    def add_row(
        self,
        hook: FakeWebhook,
        body: Mapping[str, JsonValue] | None,
        fields: Mapping[str, JsonValue] | None = None,
        *,
        late: float = 0.0,
    ) -> str:
        """Log an attempt; ``fields`` override those of the row, and ``late`` is how many seconds later it appears."""
        now = self.clock()
        with self._lock:
            attempt_id = f"whdel_{next(self._numbers):08}"
            row: dict[str, JsonValue] = {
                "id": attempt_id,
                "event": (body or {}).get("type"),
                "resource_id": hook.resource_id,
                "sent_at": iso_of(now),
                "success": True,
                "response_code": 200,
                "response_body": {},
                "total_time": 0.05,
                "replayed_from": None,
                "request_body": None if body is None else dict(body),
                **(fields or {}),
            }
            self._appears[attempt_id] = now + self.log_delay + late
            hook.log.append(row)
        return attempt_id

    def has_appeared(self, row: Mapping[str, JsonValue]) -> bool:
        """Whether the log shows a row by now."""
        return self._appears.get(str(row["id"]), 0.0) <= self.clock()

    def disturb(self, operation: str, trouble: Trouble, *, times: int = 1) -> None:
        """Let the next calls of an operation go wrong; operations are named as the SDK names them."""
        self._api.disturb(operation, trouble, times)

    def _answer(self, asked: Asked) -> Reply | None:
        self.asked.append(asked)
        return self._api.answer(asked)


def _id_of(row: Mapping[str, JsonValue]) -> str:
    body = row["request_body"]
    return str(body.get("id")) if isinstance(body, dict) else ""
