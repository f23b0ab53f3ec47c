"""The HTTP server of the fake Whop: one handler, any number of threads, on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import parse_qsl, urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

if TYPE_CHECKING:
    from pydantic import JsonValue

_ROUTES = Map(
    [
        Rule("/api/v1/webhooks", methods=["GET"], endpoint="list"),
        Rule("/api/v1/webhooks", methods=["POST"], endpoint="create"),
        Rule("/api/v1/webhooks/<id>", methods=["GET"], endpoint="retrieve"),
        Rule("/api/v1/webhooks/<id>", methods=["PATCH"], endpoint="update"),
        Rule("/api/v1/webhooks/<id>", methods=["DELETE"], endpoint="delete"),
        Rule("/api/v1/webhooks/<id>/deliveries", methods=["GET"], endpoint="list_deliveries"),
        Rule("/api/v1/webhooks/<id>/deliveries/<delivery_id>/replay", methods=["POST"], endpoint="replay_delivery"),
        Rule("/api/v1/webhooks/<id>/replay", methods=["POST"], endpoint="replay"),
        Rule("/api/v1/webhooks/<id>/test", methods=["POST"], endpoint="test"),
        Rule("/api/v1/permissions", methods=["GET"], endpoint="permissions"),
    ]
)


@dataclass(frozen=True)
class Asked:
    """A call that the fake Whop got."""

    operation: str
    """What the SDK calls it; ``unknown`` if Whop has no such call."""
    method: str
    path: str
    names: Mapping[str, str]
    """The ids in the path."""
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    """Named in lower case."""
    body: bytes = field(repr=False)

    @property
    def json(self) -> Mapping[str, JsonValue]:
        """The body's JSON object; empty if it isn't one."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return cast("Mapping[str, JsonValue]", parsed) if isinstance(parsed, dict) else {}


class Reply(NamedTuple):
    """What is answered to a call."""

    status: int
    body: object
    """Written as JSON."""
    headers: Mapping[str, str] = {}


class Refusal(Exception):
    """A call is refused, with an error as Whop writes it."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reply: Reply = Reply(status, {"error": {"type": kind, "message": message}}, headers or {})


class FakeServer:
    """Answers each call by ``answer``; None breaks the connection instead."""

    def __init__(self, answer: Callable[[Asked], Reply | None]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answer))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake Whop", daemon=True)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(answer: Callable[[Asked], Reply | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            parts = urlsplit(self.path)
            operation, names = _routed(self.command, parts.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(parts.query))
            reply = answer(Asked(operation, self.command, parts.path, names, query, headers, body))
            if reply is None:
                self.close_connection = True
                return
            self._send(reply)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815  # the names that http.server calls

        def _send(self, reply: Reply) -> None:
            content = json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's word
            """Log nothing."""

    return Handler


def _routed(method: str, path: str) -> tuple[str, Mapping[str, str]]:
    try:
        endpoint, names = _ROUTES.bind("127.0.0.1").match(path, method)
    except HTTPException:
        return "unknown", {}
    return str(endpoint), names
