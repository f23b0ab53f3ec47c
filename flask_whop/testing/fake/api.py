"""What the fake Whop answers to the calls of its API."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Literal, TypeAlias

from flask_whop.events.offers import can_be_subscribed
from flask_whop.testing.fake.server import Asked, Refusal, Reply
from flask_whop.testing.fake.webhook import OWN_ACCOUNT, SUCCESS, FakeWebhook

if TYPE_CHECKING:
    from pydantic import JsonValue

    from flask_whop.testing.fake.whop import FakeWhop

Trouble: TypeAlias = Literal[
    "lost_answer",
    "no_answer",
    "rate_limited",
    "rate_limited_without_header",
    "server_error",
    "redirect",
    "stuck_cursor",
]
"""What can go wrong with a call.

``lost_answer``: it's done, and the connection breaks before the answer. ``no_answer``: the
connection breaks before it's done. ``stuck_cursor``: the next page is the same page.
"""

_MINUTE = 60.0
_CREATABLE = ("url", "events", "resource_id", "child_resource_events", "api_version_date", "enabled")


class FakeApi:
    """Answers the calls on the webhooks of ``whop``; ``rate_limit`` is how many of an operation a minute."""

    def __init__(self, whop: FakeWhop, rate_limit: int) -> None:
        self.refused_for_rate: int = 0
        self._whop = whop
        self._lock = threading.Lock()
        self._rate_limit = rate_limit
        self._troubles: dict[str, deque[Trouble]] = {}
        self._recent: dict[str, deque[float]] = {}
        self._done: dict[str, tuple[tuple[str, bytes], Reply]] = {}
        self._calls: dict[str, Callable[[FakeWebhook, Asked, Trouble | None], Reply]] = {
            "retrieve": lambda hook, _asked, _trouble: Reply(200, hook.shown()),
            "update": self._update,
            "delete": self._delete,
            "list_deliveries": lambda hook, asked, trouble: self._page(asked, [*self._rows(hook)], trouble),
            "replay_delivery": self._replay_delivery,
            "replay": lambda _hook, _asked, _trouble: Reply(200, {"queued": True}),
            "test": self._test,
        }

    def disturb(self, operation: str, trouble: Trouble, times: int) -> None:
        """Let the next calls of an operation go wrong."""
        self._troubles.setdefault(operation, deque()).extend(trouble for _ in range(times))

    def answer(self, asked: Asked) -> Reply | None:
        """Answer a call; None breaks its connection."""
        with self._lock:
            waiting = self._troubles.get(asked.operation)
            trouble = waiting.popleft() if waiting else None
            if trouble == "no_answer":
                return None
            try:
                self._check(asked, trouble)
            except Refusal as refusal:
                return refusal.reply
        reply = self._idempotently(asked, trouble)
        return None if trouble == "lost_answer" else reply

    def _check(self, asked: Asked, trouble: Trouble | None) -> None:
        if trouble == "redirect":
            raise Refusal(302, "found", "Moved.", {"location": "https://elsewhere.example/"})
        if trouble == "server_error":
            raise Refusal(500, "internal", "Something broke.")
        if asked.headers.get("authorization") != f"Bearer {self._whop.key}":
            raise Refusal(401, "unauthorized", "The API key is invalid.")
        self._check_rate(asked.operation, trouble)
        if asked.operation not in ("permissions", "unknown") and not self._grants("developer:manage_webhook"):
            raise Refusal(403, "forbidden", "The key lacks developer:manage_webhook.")

    def _check_rate(self, operation: str, trouble: Trouble | None) -> None:
        recent, now = self._recent.setdefault(operation, deque()), self._whop.clock()
        while recent and recent[0] <= now - _MINUTE:
            recent.popleft()
        over = len(recent) >= self._rate_limit
        self.refused_for_rate += over
        recent.append(now)
        if over or trouble in ("rate_limited", "rate_limited_without_header"):
            wait = max(1, round(recent[0] + _MINUTE - now)) if over else 1
            headers = {} if trouble == "rate_limited_without_header" else {"retry-after": str(wait)}
            raise Refusal(429, "rate_limit_exceeded", f"Try again in {wait} seconds.", headers)

    def _idempotently(self, asked: Asked, trouble: Trouble | None) -> Reply:
        """Do a call once for each ``Idempotency-Key``; the same key on another request is refused."""
        key = asked.headers.get("idempotency-key") if asked.method == "POST" else None
        if key in self._done:
            before, reply = self._done[key]
            if before != (asked.path, asked.body):
                return Refusal(400, "idempotency_key_reused", "The key was used for another request.").reply
            return reply._replace(headers={**reply.headers, "idempotent-replayed": "true"})
        try:
            reply = self._do(asked, trouble)
        except Refusal as refusal:
            reply = refusal.reply
        if key is not None:
            self._done[key] = (asked.path, asked.body), reply
        return reply

    def _do(self, asked: Asked, trouble: Trouble | None) -> Reply:
        if asked.operation == "list":
            account = asked.query.get("account_id", OWN_ACCOUNT)
            apps = asked.query.get("include_app_webhooks") == "true"
            hooks = [
                hook
                for hook in reversed(list(self._whop.webhooks.values()))
                if hook.resource_id == account or (apps and hook.resource_id.startswith("app_"))
            ]
            return self._page(asked, [hook.shown(listed=True) for hook in hooks], trouble)
        if asked.operation == "create":
            return self._create(asked.json)
        if asked.operation == "permissions":
            actions = [action for action in asked.query.get("actions", "").split(",") if action]
            return Reply(200, {"data": [{"action": action, "granted": self._grants(action)} for action in actions]})
        hook = self._whop.webhooks.get(asked.names.get("id", ""))
        if hook is None or asked.operation not in self._calls:
            raise Refusal(404, "not_found", "No such webhook.")
        return self._calls[asked.operation](hook, asked, trouble)

    def _grants(self, action: str) -> bool:
        return action in self._whop.permissions or (self._whop.receives and action.startswith("webhook_receive:"))

    def _create(self, wanted: Mapping[str, JsonValue]) -> Reply:
        _check_fields(wanted)
        if not isinstance(url := wanted.get("url"), str):
            raise Refusal(400, "bad_request", "url is required.")
        made = self._whop.webhook(url, _texts(wanted.get("events")))
        _change(made, {name: value for name, value in wanted.items() if name != "url"})
        return Reply(200, made.shown(secret=True))

    def _update(self, hook: FakeWebhook, asked: Asked, _trouble: Trouble | None) -> Reply:
        wanted = asked.json
        _check_fields(wanted)
        if "resource_id" in wanted:
            raise Refusal(400, "bad_request", "resource_id can't be changed.")
        _change(hook, wanted)
        if wanted.get("enabled") is True:
            hook.disabled_at = hook.disabled_reason = hook.failing_since = None
            hook.consecutive_failures = 0
        return Reply(200, hook.shown())

    def _delete(self, hook: FakeWebhook, _asked: Asked, _trouble: Trouble | None) -> Reply:
        del self._whop.webhooks[hook.id]
        return Reply(200, {"id": hook.id, "deleted": True})

    def _rows(self, hook: FakeWebhook) -> Iterator[dict[str, JsonValue]]:
        """The rows that have appeared, the latest attempt first."""
        there = [row for row in list(hook.log) if self._whop.has_appeared(row)]
        yield from sorted(there, key=lambda row: (str(row["sent_at"]), str(row["id"])), reverse=True)

    def _page(self, asked: Asked, rows: Sequence[JsonValue], trouble: Trouble | None) -> Reply:
        ids = [str(row["id"]) if isinstance(row, dict) else "" for row in rows]
        after, wanted, most = asked.query.get("after", ""), asked.query.get("first", ""), self._whop.page_size
        start = ids.index(after) + 1 if after in ids else 0
        size = min(most, int(wanted)) if wanted.isdecimal() and int(wanted) else most
        page = rows[start : start + size]
        cursor: str | None = ids[start + len(page) - 1] if page else None
        if trouble == "stuck_cursor":
            cursor = after or cursor
        info: dict[str, JsonValue] = {
            "end_cursor": cursor,
            "start_cursor": ids[start] if page else None,
            "has_next_page": start + size < len(rows) or trouble == "stuck_cursor",
            "has_previous_page": start > 0,
        }
        return Reply(200, {"data": list(page), "page_info": info})

    def _replay_delivery(self, hook: FakeWebhook, asked: Asked, _trouble: Trouble | None) -> Reply:
        attempt_id = asked.names["delivery_id"]
        row = next((row for row in hook.log if row["id"] == attempt_id), None)
        if row is None:
            raise Refusal(404, "not_found", "No such delivery.")
        if not hook.enabled or hook.api_version != "v1":
            raise Refusal(400, "bad_request", "Only enabled v1 webhooks can be replayed to.")
        body = row["request_body"]
        return self._tried(self._whop.deliver(hook, body if isinstance(body, dict) else {}, replayed_from=attempt_id))

    def _test(self, hook: FakeWebhook, asked: Asked, _trouble: Trouble | None) -> Reply:
        event = asked.json.get("event")
        if not isinstance(event, str) or event not in hook.events:
            raise Refusal(400, "bad_request", "That event can't be tested.")
        return self._tried(self._whop.deliver(hook, self._whop.body_of(event, hook, f"msg_{token_hex(10)}")))

    def _tried(self, status: int) -> Reply:
        return Reply(200, {"status": status, "body": None, "success": status in SUCCESS})


def _change(hook: FakeWebhook, wanted: Mapping[str, JsonValue]) -> None:
    for name, value in wanted.items():
        setattr(hook, name, _texts(value) if name == "events" else value)


def _check_fields(wanted: Mapping[str, JsonValue]) -> None:
    if unknown := set(wanted) - set(_CREATABLE):
        raise Refusal(400, "bad_request", f"Unknown fields: {', '.join(sorted(unknown))}.")
    if refused := [event for event in _texts(wanted.get("events")) if not can_be_subscribed(event)]:
        raise Refusal(400, "bad_request", f"Unknown events: {', '.join(refused)}.")


def _texts(value: JsonValue) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
