"""The calls of Whop's API that concern webhooks, over httpx.

Each is repeated a few times while Whop is busy or can't be reached, which is safe: a
``POST`` carries an ``Idempotency-Key``, so one whose answer was lost isn't done twice. No
redirect is followed, and no error repeats a key, a secret or a payload.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote
from uuid import uuid4

from flask_whop.api.pace import Pace, message_in, wait_after
from flask_whop.api.records import LoggedAttempt, TestAnswer, Webhook
from flask_whop.errors import ApiError, MissingExtraError
from flask_whop.names import shown

try:
    import httpx
except ImportError:
    raise MissingExtraError('Whop\'s API needs httpx: pip install "flask-whop[api]"') from None

if TYPE_CHECKING:
    from pydantic import JsonValue
    from typing_extensions import Self

API_VERSION: Final = "2026-10-15-1"
"""The version of the API, a date that is sent with each call."""

_TRIES: Final = 5
_PAGE: Final = 50
_MOST_EMPTY: Final = 20
_SECONDS: Final = httpx.Timeout(30.0, connect=10.0)
_MOST_BYTES: Final = 67_108_864
_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,255}", re.ASCII)
_MESSAGE: Final = 300
_OK, _REDIRECT, _BAD = 200, 300, 400
_BUSY: Final = frozenset({408, 409, 425, 429})
_FAULT: Final = 500
_ADVICE: Final[Mapping[int, str]] = {
    401: "WHOP_API_KEY isn't a key of this environment: check it, and WHOP_API_ENVIRONMENT.",
    403: "The key lacks a permission for this; webhooks need developer:manage_webhook.",
    404: "There is no such thing for this key.",
    429: "The rate limit is used up, by this key's other users too.",
}


class Answered(NamedTuple):
    """An answer of the API, or why there is none."""

    status: int
    """0 if there is none."""
    headers: Mapping[str, str] = {}
    body: JsonValue = None
    error: str = ""

    @property
    def is_busy(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.status in _BUSY or self.status >= _FAULT or not self.status

    @property
    def problem(self) -> str:
        """What is wrong, for people."""
        return f"it answers {self.status}" if self.status else f"it can't be reached ({self.error})"


class WhopApi:
    """A client of Whop's API for one key.

    ``base`` is its address, with ``/api/v1``. ``waiting`` is called with the seconds and
    the reason before each wait. Every call raises :class:`~flask_whop.errors.ApiError`.
    """

    def __init__(
        self,
        key: str,
        base: str,
        *,
        pace: Pace | None = None,
        waiting: Callable[[float, str], object] = lambda _seconds, _reason: None,
    ) -> None:
        self._key = key
        self._base = base.rstrip("/")
        self._pace = pace or Pace()
        self._waiting = waiting
        self._http = httpx.Client(
            headers={"authorization": f"Bearer {key}", "api-version-date": API_VERSION, "accept": "application/json"},
            timeout=_SECONDS,
            follow_redirects=False,
        )
        self.date: str | None = None
        """The ``Date`` of the last answer."""

    def __repr__(self) -> str:
        """Show the address alone."""
        return f"<WhopApi {self._base}>"

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    # The calls.

    def webhooks(self, account_id: str | None = None) -> Iterator[Webhook]:
        """Yield the webhooks of the key's account, or of another one, and those of its apps."""
        query = {"include_app_webhooks": "true"} | ({"account_id": account_id} if account_id else {})
        yield from filter(None, map(Webhook.read, self._pages("list", "/webhooks", query)))

    def webhook(self, webhook_id: str) -> Webhook:
        """Return a webhook."""
        return self._webhook("retrieve", "GET", _path("webhooks", webhook_id))

    def create(self, url: str, events: Iterable[str], **fields: JsonValue) -> Webhook:
        """Create a webhook, and return it with its secret."""
        return self._webhook("create", "POST", "/webhooks", {"url": url, "events": [*sorted(events)], **fields})

    def update(self, webhook_id: str, **fields: JsonValue) -> Webhook:
        """Change fields of a webhook; Whop calls the pin ``api_version_date``."""
        return self._webhook("update", "PATCH", _path("webhooks", webhook_id), fields)

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook."""
        self._call("delete", "DELETE", _path("webhooks", webhook_id))

    def log(self, webhook_id: str) -> Iterator[LoggedAttempt]:
        """Yield the attempts of a webhook's last 30 days, the latest first."""
        path = f"{_path('webhooks', webhook_id)}/deliveries"
        yield from map(LoggedAttempt.read, self._pages("list_deliveries", path, {}))

    def redeliver(self, webhook_id: str, attempt_id: str) -> TestAnswer:
        """Have Whop send a delivery of the log again, with the same ``webhook-id``, signed afresh."""
        path = f"{_path('webhooks', webhook_id)}{_path('deliveries', attempt_id)}/replay"
        return _test_answer(self._call("replay_delivery", "POST", path, body={"regenerate_id": False}).body)

    def test(self, webhook_id: str, event_type: str) -> TestAnswer:
        """Have Whop send a test delivery."""
        path = f"{_path('webhooks', webhook_id)}/test"
        return _test_answer(self._call("test", "POST", path, body={"event": event_type}).body)

    def permissions(self, resource_id: str, actions: Sequence[str]) -> dict[str, bool]:
        """Return which of these actions the key may do for an account or an app; what Whop doesn't say is left out."""
        query = {"resource_id": resource_id, "actions": ",".join(actions)}
        return _granted(self._call("permissions", "GET", "/permissions", query).body)

    # How they are made.

    def _webhook(self, operation: str, method: str, path: str, body: Mapping[str, JsonValue] | None = None) -> Webhook:
        answered = self._call(operation, method, path, body=body)
        webhook = Webhook.read(answered.body)
        if webhook is None:
            raise ApiError(f"Whop answered {operation} with something that isn't a webhook.", answered.status)
        return webhook

    def _pages(self, operation: str, path: str, query: Mapping[str, str]) -> Iterator[JsonValue]:
        """Yield the rows of all pages; a row that comes twice is for the caller to know."""
        seen: set[str] = set()
        after: dict[str, str] = {}
        empty = 0
        while True:
            page = self._call(operation, "GET", path, {**query, "first": str(_PAGE), **after}).body
            rows = page.get("data") if isinstance(page, dict) else None
            if not isinstance(page, dict) or not isinstance(rows, list):
                raise ApiError(f"Whop answered {operation} with something else than a page of rows.")
            yield from rows
            empty = 0 if rows else empty + 1
            info = page.get("page_info")
            more = info.get("has_next_page") if isinstance(info, dict) else None
            if more is False:
                return
            cursor = info.get("end_cursor") if isinstance(info, dict) else None
            if more is not True or not isinstance(cursor, str) or not cursor or empty > _MOST_EMPTY:
                raise ApiError(f"Whop doesn't say how its pages of {operation} go on, so the rest can't be read.")
            if cursor in seen:
                raise ApiError(f"Whop's pages of {operation} repeat themselves, so the rest can't be read. Try later.")
            seen.add(cursor)
            after = {"after": cursor}

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, JsonValue] | None = None,
    ) -> Answered:
        """Make a call, and repeat it while that may help."""
        headers = {"idempotency-key": uuid4().hex} if method == "POST" else {}
        tried = 0
        while True:
            tried += 1
            self._pace.wait_for(operation)
            answered = self._ask(method, path, query, body, headers)
            if _OK <= answered.status < _REDIRECT:
                return answered
            if not answered.is_busy:
                raise self._refused(operation, answered)
            if tried == _TRIES:
                advice = _ADVICE.get(answered.status, "Try again later.")
                raise ApiError(
                    f"Whop's API failed {_TRIES} times at {operation}: {answered.problem}. {advice}",
                    answered.status or None,
                )
            if answered.headers.get("idempotent-replayed") == "true":
                if answered.status >= _FAULT:
                    raise ApiError(
                        f"Whop's API failed at {operation} ({answered.status}), and may have done it all the same: look"
                        " at Whop before you repeat it.",
                        answered.status,
                    )
                # What is kept for the key is a refusal, so nothing was done, and a new key is needed.
                headers = {"idempotency-key": uuid4().hex}
            wait = wait_after(tried, answered.headers, answered.body)
            self._waiting(wait, answered.problem)
            self._pace.sleep(wait)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, JsonValue] | None,
        headers: Mapping[str, str],
    ) -> Answered:
        request = self._http.build_request(
            method, f"{self._base}{path}", params=dict(query or {}), json=body, headers=dict(headers)
        )
        content = bytearray()
        try:
            with closing(self._http.send(request, stream=True)) as response:
                self.date = response.headers.get("date")
                for piece in response.iter_bytes():
                    content += piece
                    if len(content) > _MOST_BYTES:
                        raise ApiError("Whop's API sends an answer that is larger than 64 MB.", response.status_code)
        except httpx.HTTPError as error:
            return Answered(0, error=type(error).__name__)
        return Answered(response.status_code, response.headers, _parsed(bytes(content)))

    def _refused(self, operation: str, answered: Answered) -> ApiError:
        status = answered.status
        if status < _BAD:
            return ApiError(
                f"Whop's API answers {operation} with a redirect ({status}), which isn't followed: check WHOP_API_URL.",
                status,
            )
        said = shown(message_in(answered.body).replace(self._key, "***"), _MESSAGE)
        advice = _ADVICE.get(status, "")
        return ApiError(f"Whop refuses {operation} ({status}){f': {said}' if said else '.'} {advice}".strip(), status)


def _path(collection: str, identifier: str) -> str:
    """Return the path of one thing, whose id is checked: it may come from a log or a command line."""
    if not _ID.fullmatch(identifier):
        raise ApiError(f"{shown(identifier, 100)} isn't an id of Whop's; those are letters, digits and underscores.")
    return f"/{collection}/{quote(identifier, safe='')}"


def _parsed(content: bytes) -> JsonValue:
    try:
        parsed: JsonValue = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return parsed


def _test_answer(body: JsonValue) -> TestAnswer:
    answer = body if isinstance(body, dict) else {}
    status = answer.get("status")
    return TestAnswer(status if isinstance(status, int) else 0, answer.get("success") is True)


def _granted(body: JsonValue) -> dict[str, bool]:
    rows = body.get("data") if isinstance(body, dict) else None
    return {
        action: row.get("granted") is True
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and isinstance(action := row.get("action"), str)
    }
