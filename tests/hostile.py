"""Bodies that are meant to hurt, of any length."""

from __future__ import annotations

import json

# What is repeated, and what stands before and behind it: each is as bad as it can be for some step.
HOSTILE: dict[str, tuple[bytes, bytes, bytes]] = {
    "a text that does not end": (b'"', rb"\"", b""),
    "texts that do not end": (b"", b'"\\', b""),
    "backslashes": (b'"', b"\\", b""),
    "quotes": (b"", b'"', b""),
    "blanks": (b"[", b" ", b"]"),
    "blanks that end nowhere": (b"", b" \t", b"x"),
    "line ends": (b"", b"\n", b""),
    "both line ends": (b"", b"\r\n", b""),
    "carriage returns": (b"", b"\r", b""),
    "lists that do not end": (b"", b"[", b""),
    "objects that do not end": (b"", b'{"a":', b""),
    "lists in lists in a list": (b"[", b"[[[[[[[[[[[[[[0]]]]]]]]]]]]]],", b"0]"),
    "lists nested deep": (b"[", b"[" * 200 + b"0" + b"]" * 200 + b",", b"0]"),
    "empty lists": (b"[", b"[],", b"0]"),
    "empty objects": (b"[", b"{},", b"0]"),
    "objects": (b"[", b'{"a":0},', b"0]"),
    "small numbers": (b"[", b"0,", b"0]"),
    "numbers that grow when they are written": (b"[", b"9e15,", b"0]"),
    "a long number": (b"", b"9", b""),
    "a long fraction": (b"0.", b"9", b""),
    "long numbers": (b"[", b"9" * 900 + b",", b"0]"),
    "a long text": (b'"', b"x", b'"'),
    "a text of letters that become escapes": (b'"', "\u00eb".encode(), b'"'),
    "a text of wide letters": (b'"', "\U0001f600".encode(), b'"'),
    "one wide letter in a long text": ('"\U0001f600'.encode(), b"x", b'"'),
    "an escaped wide letter in a long text": (rb'"\ud83d\ude00', b"x", b'"'),
    "what Rails escapes": (b'"', b"<&>", b'"'),
    "escapes": (b'"', rb"\u0000", b'"'),
    "halves of pairs": (b'"', rb"\ud800", b'"'),
    "no UTF-8": (b"", b"\xff", b""),
    "byte order marks": (b"", b"\xef\xbb\xbf", b""),
    "keys": (b"{", b'"a":1,', b'"b":1}'),
    "texts": (b"[", b'"ab",', b"0]"),
    "empty texts": (b"[", b'"",', b"0]"),
    "a payload many times": (b"[", json.dumps({"id": "pay_1", "of": [{"name": "Zo\u00eb"}]}).encode() + b",", b"0]"),
}


def hostile(kind: str, size: int) -> bytes:
    """A body of a kind, of at most so many bytes."""
    start, middle, end = HOSTILE[kind]
    times = (size - len(start) - len(end)) // len(middle)
    return start + middle * times + end
