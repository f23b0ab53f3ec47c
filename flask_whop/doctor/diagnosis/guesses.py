"""The keys and bodies worth trying: what a known mistake would have made of a secret or a body.

Each guess undoes one mistake. There are a few dozen at most, whatever arrives, and each
takes time and memory in proportion to the body: no pattern is matched against what a
stranger sent.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from flask_whop.doctor.diagnosis.mistakes import Mistake

MAX_BODY: Final = 64 * 1024
"""The largest body that is diagnosed; Whop's are a few kilobytes."""

MIN_KEY_BYTES: Final = 16
"""The shortest key that is tried: a shorter one could be guessed, so a forgery would look like a mistake."""

WHOP_SECRET: Final = re.compile(r"ws_[0-9a-f]{64}", re.ASCII)
"""The form of Whop's secrets."""

# White space and other invisible characters: the byte order mark, zero-width and directional
# characters, and a newline escape that an .env file left as it was.
_BLANK = r"(?:[\s\ufeff\u200b-\u200f\u2060\u202a-\u202e]|\\[nrt])"
_QUOTE = r"[\"'`\u2018\u2019\u201c\u201d]"
_AROUND = re.compile(rf"^(?:{_BLANK}|{_QUOTE})+|(?:{_BLANK}|{_QUOTE}|[,;])+$")
_ASSIGNED = re.compile(r"^(?:export\s+)?[A-Za-z][A-Za-z0-9_]*\s*=\s*(?=[\"']?ws_)")
# Rails (ActiveSupport) writes these characters as escapes in JSON.
_RAILS = {letter: f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}
_MARK = b"\xef\xbb\xbf"

# The limits for a JSON body that is written again; the largest of Whop's has half of each.
_MAX_TEXT = 2 * MAX_BODY
_MAX_VALUES = 1_000
_MAX_QUOTES = 4_000
_MAX_DEPTH = 16
_MAX_DIGITS = 40

_COMPACT: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False}
# How common libraries write the same JSON.
_STYLES: Final[list[dict[str, Any]]] = [
    *(
        {"separators": separators, "ensure_ascii": as_ascii, "sort_keys": in_order}
        for separators in ((",", ":"), (", ", ": "))
        for as_ascii in (False, True)
        for in_order in (False, True)
    ),
    *({"indent": 2, "ensure_ascii": as_ascii} for as_ascii in (False, True)),
]


def keys(secret: str) -> Iterator[tuple[Mistake, bytes]]:
    """Yield the keys that the sender may have used, given the configured ``secret``."""
    for mistake, key in _keys(secret):
        # HMAC pads a key with zeros, so zeros at its end add no strength.
        if len(key.rstrip(b"\0")) >= MIN_KEY_BYTES and key != secret.encode():
            yield mistake, key


def _keys(secret: str) -> Iterator[tuple[Mistake, bytes]]:
    bare = cleaned(secret)
    if bare != secret:
        mistake = Mistake.SECRET_QUOTED if re.search(_QUOTE, secret) else Mistake.SECRET_BLANKS
        yield mistake, bare.encode()
    named = cleaned(_ASSIGNED.sub("", bare))
    if named != bare:
        yield Mistake.SECRET_WITH_NAME, named.encode()
    yield Mistake.SECRET_PREFIX, b"ws_" + bare.encode()
    yield Mistake.SECRET_BASE64, bare.removeprefix("whsec_").encode()
    yield from _decoded(bare)
    yield from _altered_by_the_sender(secret)


def cleaned(secret: str) -> str:
    """Return ``secret`` without the quotes and blanks around it."""
    return _AROUND.sub("", secret)


def decoded(text: str) -> bytes:
    """Decode ``text`` as libraries do that take a secret for base64; return nothing if it can't be that."""
    encoded = text.removeprefix("whsec_").replace("-", "+").replace("_", "/" if "ws_" not in text else "")
    try:
        return base64.b64decode(encoded + "==")
    except (ValueError, binascii.Error):
        return b""


def _decoded(bare: str) -> Iterator[tuple[Mistake, bytes]]:
    """The keys if base64 was mistaken for the secret, or the secret for base64."""
    key = decoded(bare)
    text = cleaned(key.decode("ascii", "replace"))
    if text.isprintable() and text.isascii():
        yield Mistake.SECRET_BASE64, key
        yield Mistake.SECRET_BASE64, text.encode()
        yield Mistake.SECRET_BASE64, b"ws_" + text.encode()
    elif not bare.startswith("ws_"):
        yield Mistake.SECRET_BASE64, b"ws_" + key.hex().encode()
    yield Mistake.SENDER_DECODES, key


def _altered_by_the_sender(secret: str) -> Iterator[tuple[Mistake, bytes]]:
    """The keys of a sender that isn't Whop, but has the right secret."""
    key = secret.encode()
    for text in (key, key.removeprefix(b"ws_")):
        yield Mistake.SENDER_ALTERS, base64.b64encode(text)
        yield Mistake.SENDER_ALTERS, text
    for ending in (b"\n", b"\r\n", b" "):
        yield Mistake.SENDER_ALTERS, key + ending
    yield Mistake.SENDER_ALTERS, b'"' + key + b'"'
    try:
        yield Mistake.SENDER_ALTERS, bytes.fromhex(secret.removeprefix("ws_"))
    except ValueError:
        return


def bodies(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    """Yield the bodies that may have been sent, given the ``body`` that arrived.

    Each is made on demand and not held here: drop one before asking for the next. Each
    is at most a few times as long as :data:`MAX_BODY`, whatever the bytes are.
    """
    for mistake, sent in chain(_other_ends(body), _rewritten(body)):
        if sent != body:
            yield mistake, sent
        del sent


def _other_ends(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    yield Mistake.BODY_LINE_ENDINGS, body.replace(b"\r\n", b"\n")
    yield Mistake.BODY_LINE_ENDINGS, body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    for end in (b"", b"\n", b"\r\n"):
        yield Mistake.BODY_ENDS, body.removeprefix(_MARK).strip() + end
    for end in (b"\n", b"\r\n"):
        yield Mistake.BODY_ENDS, body + end
    yield Mistake.BODY_ENDS, _MARK + body
    yield Mistake.BODY_ENDS, body.removesuffix(b"\n")
    yield Mistake.BODY_ENDS, body.removesuffix(b"\n").removesuffix(b"\r")


def _rewritten(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    if not _is_modest(body):
        return
    yield Mistake.BODY_RESERIALISED, _without_blanks(body)
    try:
        parsed = json.loads(body, parse_int=_integer, parse_float=_real)
    except (ValueError, RecursionError):
        return
    if _is_deep(parsed):
        return
    plain = json.dumps(parsed, check_circular=False, **_COMPACT).isascii()
    for style in _STYLES:
        if plain and style["ensure_ascii"]:
            continue  # the other style makes the same
        # Half of a surrogate pair can't be UTF-8, so no sender writes one.
        yield Mistake.BODY_RESERIALISED, json.dumps(parsed, check_circular=False, **style).encode("utf-8", "replace")
    text = json.dumps(parsed, check_circular=False, **_COMPACT)
    if sum(map(text.count, _RAILS)) <= _MAX_VALUES:
        yield Mistake.BODY_RESERIALISED, _by_rails(text).encode("utf-8", "replace")


def _by_rails(text: str) -> str:
    for letter, escape in _RAILS.items():
        text = text.replace(letter, escape)
    return text


def _is_modest(body: bytes) -> bool:
    """Whether it costs little to write the JSON ``body`` again, in any style.

    A string with any character beyond ASCII may take four bytes for each character, and
    an escape may stand for such a character.
    """
    room = 1 if body.isascii() and b"\\u" not in body else 4
    values = sum(body.count(mark) for mark in (b",", b"[", b"{"))
    return room * len(body) <= _MAX_TEXT and values <= _MAX_VALUES and body.count(b'"') <= _MAX_QUOTES


def _without_blanks(body: bytes) -> bytes:
    """The JSON ``body`` without the blanks between its tokens."""
    tokens = bytearray()
    quoted = False
    for part in body.split(b'"'):
        tokens += part if quoted else part.translate(None, b" \t\r\n")
        tokens += b'"'
        backslashes = len(part) - len(part.rstrip(b"\\"))
        # After an odd number of them, a quote is part of the string.
        quoted = not (quoted and backslashes % 2 == 0)
    return bytes(tokens[:-1])


def _is_deep(parsed: object) -> bool:
    """Whether lists and objects are nested deeper than Whop ever sends: each level adds an indent."""
    level = [parsed]
    for _ in range(_MAX_DEPTH + 1):
        containers = [value for value in level if isinstance(value, (dict, list))]
        level = [inner for outer in containers for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return bool(level)


def _integer(digits: str) -> int:
    # Reading a number takes time with the square of its digits. One that is cut is wrong, and matches nothing.
    return int(digits[:_MAX_DIGITS])


def _real(digits: str) -> float:
    return float(digits[:_MAX_DIGITS])
