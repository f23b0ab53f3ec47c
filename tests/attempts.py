"""Requests that a stranger may send, and some of Whop's among them, made at random from a seed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import random
import time
from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask_whop.signals import EVENT_SIGNALS
from flask_whop.testing import sample, signed
from tests.hostile import HOSTILE, hostile
from tests.shop import OTHER_SECRET, PATH, SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TYPES = [*EVENT_SIGNALS, "payment.of_tomorrow", "x", "\N{PILE OF POO}", "a" * 300, "nul\x00nul"]
_WORDS = ["v1,", "v1", "v2,", ",", " ", "  ", "=", "garbage", "v1," + "A" * 43 + "=", "v1a,", "whsec_", "t=1,v1=00"]
_LENGTHS = ["", "-1", "abc", "0", "1", "1_0", "9" * 20, "9" * 5000, "\u0663", " 5 ", "1e3", "2"]
_JUNK: list[Any] = [None, True, 0, -1, 1e308, 10**400, "", "\x00", "\ud800", "x" * 5000, [], {}, [[]], {"": {"": []}}]


class OfAServer(Exception):
    """A server's own exception, which nobody else knows."""


class Broken:
    """A body that cannot be read to its end."""

    def __init__(self, first: bytes, error: Exception | None) -> None:
        self._first = BytesIO(first)
        self._error = error

    def read(self, size: int = -1) -> bytes:
        """Read what there is, then fail or end."""
        data = self._first.read(size)
        if not data and self._error is not None:
            raise self._error
        return data


@dataclass
class Attempt:
    """One request."""

    kind: str
    headers: dict[str, str]
    body: bytes
    genuine: bool = False
    """Whether it is a delivery that has to arrive."""
    environ: dict[str, Any] = field(default_factory=dict)
    """What its WSGI environ has beside, or in the place of, what belongs there."""
    raw: bool = False
    """Whether it goes to the WSGI callable as it is, without a client that would refuse to send it."""


def identity(delivery_id: str, timestamp: str | int, body: bytes) -> bytes:
    """What tells one signed request from any other."""
    return hashlib.sha256(f"{delivery_id}.{timestamp}.".encode() + body).digest()


class Attempts:
    """Makes requests; the same ones for the same ``seed``, apart from ids and times."""

    def __init__(self, seed: int, run: str) -> None:
        self.signed: set[bytes] = set()
        """What was signed with the secret: nothing else may be found good."""
        self.random = random.Random(seed)
        self._run = run
        self._count = 0
        self._genuine: deque[Attempt] = deque(maxlen=50)
        self._kinds: Mapping[str, tuple[int, Callable[[], Attempt]]] = {
            "genuine": (30, self._new),
            "again": (5, self._again),
            "signed, no delivery": (8, self._no_delivery),
            "out of time": (4, self._out_of_time),
            "mutated": (25, self._mutated),
            "another key": (12, self._another_key),
            "unsigned": (12, self._unsigned),
            "unreadable": (6, self._unreadable),
            "elsewhere": (3, self._elsewhere),
        }

    def make(self) -> Attempt:
        """Make the next one."""
        weights = [weight for weight, _ in self._kinds.values()]
        kind = self.random.choices([*self._kinds], weights)[0]
        attempt = replace(self._kinds[kind][1](), kind=kind)
        return self._disguised(attempt) if self.random.random() < 0.5 else attempt

    def _signed(self, body: bytes, delivery_id: str | None = None, **how: Any) -> Attempt:
        delivery_id = delivery_id or self._id()
        headers = signed(body, SECRET, delivery_id=delivery_id, **how)["headers"]
        self.signed.add(identity(delivery_id, headers["webhook-timestamp"], body))
        return Attempt("", headers, body)

    def _id(self) -> str:
        self._count += 1
        return f"msg_{self._run}_{self._count}"

    # What Whop may send.

    def _new(self) -> Attempt:
        delivery_id = self._id()
        payload = {**self._payload(), "id": delivery_id}
        try:
            body = json.dumps(payload, ensure_ascii=self.random.random() < 0.5).encode()
        except UnicodeEncodeError:
            body = json.dumps(payload).encode()
        attempt = replace(self._signed(body, delivery_id), genuine=True)
        self._genuine.append(attempt)
        return attempt

    def _payload(self) -> dict[str, Any]:
        event_type = self.random.choice(_TYPES)
        payload: dict[str, Any]
        if event_type in EVENT_SIGNALS:
            payload = dict(sample(event_type))
        else:
            payload = {"type": event_type, "data": {"id": "obj_1"}}
        for _ in range(self.random.choice([0, 0, 1, 3])):
            self._spoil(payload)
        return payload

    def _spoil(self, payload: dict[str, Any]) -> None:
        """Put something unexpected into a payload."""
        inner = payload.get("data")
        place = inner if isinstance(inner, dict) and inner and self.random.random() < 0.7 else payload
        key = self.random.choice([*(key for key in place if key != "id"), "new", "\x00", "copy", "model_config"])
        value = deepcopy(self.random.choice(_JUNK))
        for _ in range(self.random.choice([0, 0, 0, 1, 150, 400])):
            value = [value]
        place[key] = value

    def _again(self) -> Attempt:
        """Deliver something a second time, signed anew, as Whop does."""
        if not self._genuine:
            return self._new()
        former = self.random.choice(self._genuine)
        return replace(self._signed(former.body, former.headers["webhook-id"]), genuine=True)

    # What is signed, and no delivery.

    def _no_delivery(self) -> Attempt:
        body = self._hostile_body()
        try:
            body.decode()
        except UnicodeDecodeError:
            body = b"[]"
        return self._signed(body)

    def _out_of_time(self) -> Attempt:
        shift = self.random.choice([-10_000, -400, 400, 10_000])
        attempt = self._signed(b'{"type":"payment.succeeded"}', timestamp=int(time.time()) + shift)
        self.signed.discard(identity(attempt.headers["webhook-id"], attempt.headers["webhook-timestamp"], attempt.body))
        return attempt

    # What somebody else makes of it.

    def _mutated(self) -> Attempt:
        fresh = not self._genuine or self.random.random() < 0.1
        former = self._new() if fresh else self.random.choice(self._genuine)
        changed = replace(former, headers=dict(former.headers), genuine=False)
        for _ in range(self.random.choice([1, 1, 2])):
            self.random.choice([self._change_body, self._change_header, self._swap, self._encode])(changed)
        return changed

    def _change_body(self, attempt: Attempt) -> None:
        body = bytearray(attempt.body)
        place = self.random.randrange(len(body) + 1)
        how = self.random.randrange(4)
        if how == 0 and place < len(body):
            body[place] ^= 1 << self.random.randrange(8)
        elif how == 1:
            del body[place:]
        elif how == 2:
            body[place:place] = self.random.choice([b"\x00", b"\n", b" ", b'"', b"\xff", b"{}", b"\xef\xbb\xbf"])
        else:
            body += self.random.choice([b"\n", b"\r\n", b"x", b"{}"])
        attempt.body = bytes(body)

    def _change_header(self, attempt: Attempt) -> None:
        name = self.random.choice(["webhook-id", "webhook-timestamp", "webhook-signature"])
        value = attempt.headers.get(name, "")
        place = self.random.randrange(len(value) + 1)
        letter = self.random.choice(["", "A", "0", " ", ",", ".", "v1,", "\xff", "\xa0", "=", "/", "_"])
        attempt.headers[name] = value[:place] + letter + value[place + self.random.randrange(2) :]
        if self.random.random() < 0.1:
            del attempt.headers[name]

    def _swap(self, attempt: Attempt) -> None:
        other = self.random.choice(self._genuine)
        name = self.random.choice(["webhook-id", "webhook-timestamp", "webhook-signature", "body"])
        if name == "body":
            attempt.body = other.body
        else:
            attempt.headers[name] = other.headers[name]

    def _encode(self, attempt: Attempt) -> None:
        attempt.headers["content-encoding"] = self.random.choice(["gzip", "identity", "br", "\xff", "x" * 500])
        if self.random.random() < 0.5:
            attempt.body = gzip.compress(attempt.body, 1)

    def _another_key(self) -> Attempt:
        body = self._hostile_body() if self.random.random() < 0.5 else b'{"id":"forged","type":"payment.succeeded"}'
        key = self.random.choice([OTHER_SECRET, SECRET[3:], SECRET + "\n", SECRET[:-1], "", SECRET.upper()]).encode()
        key = self.random.choice([key, key, base64.b64encode(SECRET.encode()), bytes.fromhex(SECRET[3:])])
        seconds = int(time.time())
        delivery_id = self._id()
        before = self.random.choice([f"{delivery_id}.{seconds}.", f"{seconds}.", "", f"{delivery_id}.", "v0:"]).encode()
        digest = hmac.new(key, before + body, self.random.choice([hashlib.sha256, hashlib.sha1, hashlib.sha512]))
        signature = self.random.choice([base64.b64encode(digest.digest()).decode(), digest.hexdigest()])
        headers = {"webhook-id": delivery_id, "webhook-timestamp": str(seconds), "webhook-signature": f"v1,{signature}"}
        if self.random.random() < 0.2:
            headers = {"x-whop-signature": f"t={seconds},v1={digest.hexdigest()}"}
        return Attempt("", headers, body)

    def _unsigned(self) -> Attempt:
        names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-whop-signature", "content-encoding"]
        headers = {name: self._hostile_text() for name in self.random.sample(names, self.random.randrange(6))}
        return Attempt("", headers, self._hostile_body(), raw=True)

    def _hostile_text(self) -> str:
        return self.random.choice(
            [
                "".join(self.random.choices(_WORDS, k=self.random.randrange(1, 40))),
                "".join(chr(self.random.randrange(256)) for _ in range(self.random.randrange(60))),
                str(int(time.time())),
                "msg_1",
                self.random.choice(_WORDS) * 3000,
            ]
        )

    def _hostile_body(self) -> bytes:
        if self.random.random() < 0.2:
            return self.random.randbytes(self.random.randrange(300))
        kind = self.random.choice([*HOSTILE])
        return hostile(kind, self.random.choice([50, 500, 500, 5_000, 5_000, 50_000, 66_000]))

    # What no client of ours would send.

    def _unreadable(self) -> Attempt:
        attempt = replace(self.random.choice(self._genuine) if self._genuine else self._new(), genuine=False)
        error = self.random.choice([None, OfAServer(), OSError(), ValueError(), StopIteration(), MemoryError()])
        environ = {"wsgi.input": Broken(attempt.body[: self.random.randrange(len(attempt.body))], error)}
        if self.random.random() < 0.5:
            environ["wsgi.input_terminated"] = True
            attempt.environ = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}
        if self.random.random() < 0.3:
            environ = {"CONTENT_LENGTH": self.random.choice(_LENGTHS)}
        return replace(attempt, environ={**attempt.environ, **environ}, raw=True)

    def _elsewhere(self) -> Attempt:
        path = self.random.choice([PATH, PATH + "/", "/" + PATH, PATH + "/..", "/", "/\xff", PATH.upper(), "", "//"])
        method = self.random.choice(["GET", "PUT", "OPTIONS", "HEAD", "TRACE", "post", "\xff", "POST"])
        environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": self._hostile_text()}
        return Attempt("", {}, b"{}", environ=environ, raw=True)

    def _disguised(self, attempt: Attempt) -> Attempt:
        """Give a request headers that are none of its business, or send it without its length."""
        environ = dict(attempt.environ)
        hosts = () if attempt.genuine else ("HTTP_HOST",)
        for name in ("CONTENT_TYPE", "HTTP_COOKIE", "HTTP_X_FORWARDED_FOR", "HTTP_ACCEPT", "HTTP_EXPECT", *hosts):
            if self.random.random() < 0.3:
                environ.setdefault(name, self._hostile_text())
        if self.random.random() < 0.2:
            environ.setdefault("CONTENT_TYPE", "multipart/form-data; boundary=x")
        if self.random.random() < 0.3 and "wsgi.input" not in environ and "CONTENT_LENGTH" not in environ:
            environ |= {"wsgi.input_terminated": True, "CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}
        return replace(attempt, environ=environ, raw=True)
