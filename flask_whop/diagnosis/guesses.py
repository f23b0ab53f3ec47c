"""What a known mistake would have made of a secret or of a body: the keys and bodies that are worth a try.

Each guess undoes one mistake. There are a few dozen of them at most, whatever comes in.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Final

from flask_whop.diagnosis.mistakes import Mistake

MIN_KEY_BYTES: Final = 16
"""The shortest key that is tried: a shorter one could be guessed, and a forgery would look like a mistake."""

WHOP_SECRET: Final = re.compile(r"ws_[0-9a-f]{64}", re.ASCII)
"""The form of a secret of Whop's."""

# White space, and what is just as invisible: the byte order mark, the zero-width and directional
# characters, and a newline that an .env file did not resolve.
_BLANK = r"(?:[\s\ufeff\u200b-\u200f\u2060\u202a-\u202e]|\\[nrt])"
_QUOTE = r"[\"'`\u2018\u2019\u201c\u201d]"
_AROUND = re.compile(rf"^(?:{_BLANK}|{_QUOTE})+|(?:{_BLANK}|{_QUOTE}|[,;])+$")
_ASSIGNED = re.compile(r"^(?:export\s+)?[A-Za-z][A-Za-z0-9_]*\s*=\s*(?=[\"']?ws_)")
_BLANK_IN_JSON = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
# Rails, by its ActiveSupport, writes these letters of JSON as escapes.
_RAILS = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}
_MARK = b"\xef\xbb\xbf"


def keys(secret: str) -> Iterator[tuple[Mistake, bytes]]:
    """Yield the keys that the sender may have, where ``secret`` is what is configured."""
    for mistake, key in _keys(secret):
        # HMAC pads a key with zeros, so that those at its end are none of its strength.
        if len(key.rstrip(b"\0")) >= MIN_KEY_BYTES and key != secret.encode():
            yield mistake, key


def _keys(secret: str) -> Iterator[tuple[Mistake, bytes]]:
    bare = cleaned(secret)
    if bare != secret:
        dressed = Mistake.SECRET_QUOTED if re.search(_QUOTE, secret) else Mistake.SECRET_BLANKS
        yield dressed, bare.encode()
    named = cleaned(_ASSIGNED.sub("", bare))
    if named != bare:
        yield Mistake.SECRET_WITH_NAME, named.encode()
    yield Mistake.SECRET_PREFIX, b"ws_" + bare.encode()
    yield Mistake.SECRET_BASE64, bare.removeprefix("whsec_").encode()
    yield from _decoded(bare)
    yield from _altered_by_the_sender(secret)


def cleaned(secret: str) -> str:
    """``secret`` without the quotes and the blanks around it."""
    return _AROUND.sub("", secret)


def decoded(text: str) -> bytes:
    """What the libraries that take a secret for base64 make of ``text``; nothing if it cannot be that."""
    encoded = text.removeprefix("whsec_").replace("-", "+").replace("_", "/" if "ws_" not in text else "")
    try:
        return base64.b64decode(encoded + "==")
    except (ValueError, binascii.Error):
        return b""


def _decoded(bare: str) -> Iterator[tuple[Mistake, bytes]]:
    """The keys where base64 was taken for the secret, or the secret for base64."""
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
    """The keys that somebody signs with who is not Whop, and has the right secret."""
    key = secret.encode()
    for whole in (key, key.removeprefix(b"ws_")):
        yield Mistake.SENDER_ALTERS, base64.b64encode(whole)
        yield Mistake.SENDER_ALTERS, whole
    for ending in (b"\n", b"\r\n", b" "):
        yield Mistake.SENDER_ALTERS, key + ending
    yield Mistake.SENDER_ALTERS, b'"' + key + b'"'
    try:
        yield Mistake.SENDER_ALTERS, bytes.fromhex(secret.removeprefix("ws_"))
    except ValueError:
        return


def bodies(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    """Yield the bodies that may have been sent, where ``body`` is what arrived."""
    for mistake, sent in (*_other_ends(body), *_reserialised(body)):
        if sent != body:
            yield mistake, sent


def _other_ends(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    unix = body.replace(b"\r\n", b"\n")
    yield Mistake.BODY_LINE_ENDINGS, unix
    yield Mistake.BODY_LINE_ENDINGS, unix.replace(b"\n", b"\r\n")
    bare = body.removeprefix(_MARK).strip()
    for sent in (bare, bare + b"\n", bare + b"\r\n", body + b"\n", body + b"\r\n", _MARK + body):
        yield Mistake.BODY_ENDS, sent
    yield Mistake.BODY_ENDS, body.removesuffix(b"\n")
    yield Mistake.BODY_ENDS, body.removesuffix(b"\n").removesuffix(b"\r")


def _reserialised(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    yield Mistake.BODY_RESERIALISED, _BLANK_IN_JSON.sub(rb"\1", body)
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return
    for text in _spellings(parsed):
        # Half of a surrogate pair has no UTF-8; no sender writes one.
        yield Mistake.BODY_RESERIALISED, text.encode("utf-8", "replace")


def _spellings(parsed: object) -> Iterator[str]:
    """The ways in which the common libraries write the same JSON."""
    for separators in ((",", ":"), (", ", ": ")):
        for as_ascii in (False, True):
            for in_order in (False, True):
                yield json.dumps(parsed, separators=separators, ensure_ascii=as_ascii, sort_keys=in_order)
    for as_ascii in (False, True):
        yield json.dumps(parsed, indent=2, ensure_ascii=as_ascii)
    yield json.dumps(parsed, separators=(",", ":"), ensure_ascii=False).translate(_RAILS)
