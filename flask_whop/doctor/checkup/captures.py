"""Reads a captured request: its headers and its body."""

from __future__ import annotations

import re

from flask_whop.doctor.watch import Captured
from flask_whop.errors import CaptureError

_REQUEST_LINE = re.compile(r"[A-Z]+ \S+( HTTP/[\d.]+)?")
_ARROW = re.compile(r"^> ?")


def read_capture(raw: bytes) -> Captured:
    """Read headers, one per line, an empty line, and the body; a request line may come first.

    Blanks that an editor added after the announced length are left out. Raises
    :class:`~flask_whop.errors.CaptureError`.
    """
    end = re.search(rb"\r?\n(?:> ?)?\r?\n", raw)
    lines = raw[: end.start() if end else len(raw)].decode("utf-8-sig", "replace").splitlines()
    headers = _headers([_ARROW.sub("", line) for line in lines if line.strip()])
    body = raw[end.end() :] if end else b""
    return Captured(headers, _as_announced(body, headers.get("content-length", "")))


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for number, line in enumerate(lines):
        name, colon, value = line.partition(":")
        if number == 0 and _REQUEST_LINE.fullmatch(line.strip()):
            continue
        if not colon or not re.fullmatch(r"[A-Za-z0-9_\-]+", name.strip()):
            raise CaptureError(
                f"This is not a captured request: line {number + 1} is no header. Give the headers, one per line"
                " (webhook-id: msg_…), an empty line, and the body, byte for byte."
            )
        # Also as WSGI writes them: HTTP_WEBHOOK_ID.
        key = name.strip().lower().replace("_", "-").removeprefix("http-")
        headers[key] = f"{headers[key]},{value.strip()}" if key in headers else value.strip()
    if not headers:
        raise CaptureError("It has no headers. Give the headers, one per line, an empty line, and the body.")
    return headers


def _as_announced(body: bytes, length: str) -> bytes:
    announced = int(length) if re.fullmatch(r"[0-9]{1,12}", length) else len(body)
    return body[:announced] if not body[announced:].strip() else body
