"""The diagnosis: which known mistake explains why a signature does not match."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
import sys
import time
import tracemalloc
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from flask_whop.doctor.diagnosis import MAX_BODY, MAX_HASHED, Mistake, diagnose
from flask_whop.signature import sign
from flask_whop.testing import sample
from tests import examples
from tests.hostile import HOSTILE, hostile
from tests.shop import OTHER_SECRET, SECRET

BODY = '{"id":"msg_1","type":"payment.succeeded","data":{"id":"pay_1","name":"Zoë","total":49.00}}'.encode()
NOW = 1_790_000_000


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def request(key=SECRET, body=BODY, seconds=NOW):
    """The headers of a delivery whose key is the text, or the bytes, ``key``."""
    raw = key if isinstance(key, bytes) else key.encode()
    digest = hmac.new(raw, b"msg_1.%d." % seconds + body, hashlib.sha256).digest()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{b64(digest)}",
        "content-length": str(len(body)),
    }


def found(headers, body=BODY, secrets=(SECRET,), **how):
    diagnosis = diagnose(headers, body, list(secrets), **{"now": NOW, **how})
    return diagnosis and diagnosis.id


def test_nothing_is_found_where_nothing_is_wrong():
    assert found(request()) is None
    assert found(sign(BODY, SECRET, delivery_id="msg_1"), now=time.time()) is None


# What is configured is not the secret.


@pytest.mark.parametrize(
    ("configured", "mistake"),
    [
        (b64(SECRET), "secret_base64"),
        (b64(SECRET).rstrip("="), "secret_base64"),
        (b64(SECRET + "\n"), "secret_base64"),
        (b64(SECRET[3:]), "secret_base64"),
        (b64(bytes.fromhex(SECRET[3:])), "secret_base64"),
        ("whsec_" + b64(SECRET), "secret_base64"),
        ("whsec_" + SECRET, "secret_base64"),
        (SECRET[3:], "secret_prefix"),
        (f"'{SECRET[3:]}'\n", "secret_prefix"),
        (SECRET + "\n", "secret_blanks"),
        (SECRET + "\r\n", "secret_blanks"),
        (" " + SECRET, "secret_blanks"),
        ("\ufeff" + SECRET, "secret_blanks"),
        (SECRET + "\u200b", "secret_blanks"),
        (SECRET + "\\n", "secret_blanks"),
        (f'"{SECRET}"', "secret_quoted"),
        (f"'{SECRET}'", "secret_quoted"),
        (f"\u201c{SECRET}\u201d", "secret_quoted"),
        (f'"{SECRET}\n"', "secret_quoted"),
        (f"WHOP_WEBHOOK_SECRET={SECRET}", "secret_with_name"),
        (f"export WHOP_WEBHOOK_SECRET='{SECRET}'", "secret_with_name"),
    ],
)
def test_it_is_named_what_is_wrong_with_the_configured_secret(configured, mistake):
    assert found(request(SECRET), secrets=[configured]) == mistake
    assert found(request(SECRET), secrets=[OTHER_SECRET, configured]) == mistake


@pytest.mark.parametrize("configured", ["apik_9dLq2vXw7TzR4mKp8sNc", "whop-development-default-secret"])
def test_what_can_be_no_secret_of_whops_is_named_where_nothing_else_matches(configured):
    assert found(request(SECRET), secrets=[configured]) == "secret_not_whops"
    assert found(request(configured), secrets=[configured]) is None
    assert found(request(SECRET), secrets=[configured, OTHER_SECRET]) is None


def test_the_secret_of_another_is_named_by_what_it_is_called():
    diagnosis = diagnose(request(), BODY, [OTHER_SECRET], others={"the app 'shop'": [SECRET]}, now=NOW)
    assert diagnosis.id == Mistake.SECRET_ELSEWHERE
    assert "the app 'shop'" in diagnosis.what


def test_of_several_secrets_the_wrong_one_is_named():
    diagnosis = diagnose(request(), BODY, [OTHER_SECRET, b64(SECRET)], now=NOW)
    assert diagnosis.what.startswith("WHOP_WEBHOOK_SECRET[1] is base64")


# The sender's key is not the secret.


@pytest.mark.parametrize(
    ("signing", "mistake"),
    [
        (Webhook(SECRET)._whsecret, "sender_decodes"),
        (b64(SECRET), "sender_alters"),
        (SECRET[3:], "sender_alters"),
        (bytes.fromhex(SECRET[3:]), "sender_alters"),
        (SECRET + "\n", "sender_alters"),
        (f'"{SECRET}"', "sender_alters"),
    ],
)
def test_it_is_named_how_the_sender_has_altered_the_secret(signing, mistake):
    assert found(request(signing)) == mistake


def test_a_secret_of_whsec_kind_whose_sender_decodes_it_is_named():
    raw = bytes(range(200, 232))
    assert found(request(raw), secrets=["whsec_" + b64(raw)]) == "sender_decodes"


# The body has been changed.


@pytest.mark.parametrize(
    ("arrived", "mistake"),
    [
        (BODY + b"\n", "body_ends"),
        (BODY + b"\r\n", "body_ends"),
        (b"\xef\xbb\xbf" + BODY, "body_ends"),
        (b"  " + BODY + b" ", "body_ends"),
        (BODY.replace(b":", b": ").replace(b",", b",\n"), "body_reserialised"),
    ],
)
def test_a_body_that_something_was_added_to_is_named(arrived, mistake):
    assert found(request(), arrived) == mistake


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_body_whose_last_newline_was_taken_is_named(end):
    assert found(request(body=BODY + end), BODY) == "body_ends"


@pytest.mark.parametrize(("sent", "arrived"), [(b"\r\n", b"\n"), (b"\n", b"\r\n")])
def test_line_endings_that_were_changed_are_named(sent, arrived):
    body = json.dumps(json.loads(BODY), indent=2).encode()
    assert found(request(body=body.replace(b"\n", sent)), body.replace(b"\n", arrived)) == "body_line_endings"


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("other", [{"indent": 4}, {"separators": (", ", ": ")}, {"ensure_ascii": True}, {}])
def test_json_that_was_written_again_is_named(separators, ensure_ascii, other):
    payload = {"type": "payment.succeeded", "data": {"name": "Zoë", "total": 49.5, "note": "a & b"}}
    sent = json.dumps(payload, separators=separators, ensure_ascii=ensure_ascii).encode()
    arrived = json.dumps(payload, **{"ensure_ascii": False, "separators": (",", ":"), **other}).encode()
    assert found(request(body=sent), arrived) == (None if sent == arrived else "body_reserialised")


def test_json_whose_keys_the_sender_had_sorted_is_named():
    sent = json.dumps(json.loads(BODY), sort_keys=True).encode()
    assert found(request(body=sent)) == "body_reserialised"


def test_json_that_rails_has_written_is_named_after_it_was_written_again():
    sent = rb'{"id":"msg_1","data":{"name":"Zo\u00eb \u0026 Mara"}}'.replace(rb"\u00eb", "ë".encode())
    assert found(request(body=sent), json.dumps(json.loads(sent)).encode()) == "body_reserialised"


def test_a_body_that_was_eaten_is_told_from_one_that_was_never_announced():
    assert found(request(), b"") == "body_eaten"
    assert found(request() | {"content-length": "0"}, b"") == "body_empty"


# The old kind, and the clock.


def old(secret, body=BODY):
    digest = hmac.new(secret.encode(), b"%d." % NOW + body, hashlib.sha256).hexdigest()
    return {"x-whop-signature": f"t={NOW},v1={digest}"}


def test_a_webhook_of_the_old_kind_is_named_if_it_is_signed_with_a_known_secret():
    assert found(old(SECRET)) == "old_format"
    assert found(old(OTHER_SECRET), others={"the app 'shop'": [OTHER_SECRET]}) == "old_format"
    assert found(old(OTHER_SECRET)) is None


@pytest.mark.parametrize(("off", "mistake"), [(-301, "clock_slow"), (-299, None), (300, None), (4000, "clock_fast")])
def test_a_clock_that_is_off_is_named_with_the_seconds_and_the_direction(off, mistake):
    diagnosis = diagnose(request(), BODY, [SECRET], now=NOW + off)
    assert (diagnosis and diagnosis.id) == mistake
    if diagnosis:
        assert f"{abs(off)} seconds {'old' if off > 0 else 'ahead'}" in diagnosis.what


# What holds for all.


_TEXT = st.text(string.ascii_letters + string.digits + "_-+/= \"'\n", max_size=100)
_SECRETS = st.binary(min_size=32, max_size=32).map(lambda raw: "ws_" + raw.hex())
_BODIES = st.one_of(
    st.binary(min_size=1), st.recursive(st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
_DIGESTS = st.binary(min_size=32, max_size=32)


@given(_SECRETS, _SECRETS, _BODIES, _DIGESTS, st.integers(-(10**6), 10**6))
def test_a_plain_forgery_gets_no_diagnosis(secret, other, body, digest, shift):
    headers = request(seconds=NOW + shift) | {"webhook-signature": f"v1,{b64(digest)}"}
    assert found(headers, body, [secret], others={"another": [other]}) is None


@given(_SECRETS, st.one_of(_SECRETS.map(str.encode), st.binary(max_size=15), _TEXT.map(str.encode)), _BODIES)
def test_a_forgery_with_a_key_that_can_be_guessed_gets_no_diagnosis(secret, key, body):
    assert found(request(key, body), body, [secret]) is None


@given(st.dictionaries(st.sampled_from([*request(), "x-whop-signature"]), st.text()), st.binary(), st.lists(_TEXT))
def test_whatever_comes_nothing_is_raised(headers, body, secrets):
    diagnose(headers, body, secrets, now=NOW)
    diagnose(request() | headers, body, secrets, now=NOW)


@given(_TEXT, st.sampled_from(["ws_" + "0f" * 32, "whsec_" + "QUJD" * 11, "0f" * 32]))
def test_no_secret_and_no_signature_is_in_a_diagnosis(noise, secret):
    for key in (SECRET, secret, OTHER_SECRET):
        headers = request(key)
        for configured in (noise + secret, secret, b64(key), f'"{key}"'):
            diagnosis = diagnose(headers, BODY, [configured], others={"another": [OTHER_SECRET]}, now=NOW)
            told = str(diagnosis)
            assert not any(text in told for text in (secret, SECRET, OTHER_SECRET, b64(SECRET)))
            assert headers["webhook-signature"] not in told


def test_every_mistake_says_what_why_and_the_fix_in_sentences():
    from flask_whop.doctor.diagnosis.mistakes import _FINDINGS

    assert set(_FINDINGS) == {mistake.value for mistake in Mistake}
    for finding in _FINDINGS.values():
        assert all(text.endswith(".") for text in (finding.what, finding.why, finding.fix))


def test_a_body_that_is_larger_than_any_of_whops_is_not_looked_at():
    fits = b'{"a":"' + b"x" * (MAX_BODY - 8) + b'"}'
    for body, mistake in ((fits, "secret_elsewhere"), (fits + b" ", None)):
        assert found(request(body=body), body, [OTHER_SECRET], others={"another": [SECRET]}) == mistake


@pytest.mark.parametrize("event_type", ["account.updated", "payment.succeeded", "dispute.created"])
@pytest.mark.parametrize("other", [{}, {"indent": 4}, {"ensure_ascii": False, "separators": (",", ":")}])
@pytest.mark.parametrize("sent", [{"indent": 2}, {"separators": (",", ":")}, {"sort_keys": True}])
def test_the_largest_bodies_of_whops_are_looked_at_in_every_spelling(event_type, sent, other):
    payload = {"noted": "Zo\u00eb \U0001f600", **sample(event_type)}
    written, arrived = json.dumps(payload, **sent).encode(), json.dumps(payload, **other).encode()
    assert found(request(body=written), arrived) == "body_reserialised"


@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"a":' * 10_000, b"1" * 6000, b'"\\ud800"', b'"' + b"\\" * 50_000])
def test_json_that_is_meant_to_hurt_is_survived(body):
    assert found(request(OTHER_SECRET, body), body) is None


def test_blanks_between_the_tokens_are_told_from_those_in_a_text():
    sent = rb'{"a \\":" \" , \\\" ","b":1.50}'
    arrived = rb' { "a \\" :\t" \" , \\\" "  ,\r\n "b" : 1.50 }'.replace(rb"\t", b"\t").replace(rb"\r\n", b"\r\n")
    assert found(request(body=sent), arrived) == "body_reserialised"


# What a stranger can make it do.

MOST_STEPS = 90_000
LITTLE = 3_000
LINEAR = {
    *(f"bytes.{name}" for name in ("count", "decode", "isascii", "replace", "split", "startswith", "translate")),
    *(f"bytes.{name}" for name in ("removeprefix", "removesuffix", "rstrip", "strip")),
    *(f"str.{name}" for name in ("count", "encode", "isascii", "isprintable", "join", "replace", "startswith")),
    *(f"str.{name}" for name in ("format", "format_map", "removeprefix", "rfind", "strip", "translate")),
}


class Work:
    """What a diagnosis does, counted from outside: calls, lines, bytes hashed, and the most memory at a time.

    A call of C code counts as one: a test below names what of it is called.
    """

    def __init__(self, body, headers=None, secrets=(SECRET,), others=None):
        self.steps = self.hashed = 0
        self.c_functions = set()
        headers = headers or request(OTHER_SECRET, body)
        diagnose(headers, b"{}", list(secrets), now=NOW)  # what is made once is made
        # Several times, since the threads of other tests add to it, and the first time what is made once.
        memory = [self._memory_of(headers, body, list(secrets), others or {}) for _ in range(3)]
        self.memory, self.most_memory = min(memory), max(memory)
        former = sys.gettrace(), sys.getprofile()
        sys.settrace(self._line)
        sys.setprofile(self._call)
        try:
            diagnose(headers, body, list(secrets), others=others or {}, now=NOW)
        finally:
            sys.settrace(former[0])
            sys.setprofile(former[1])

    @staticmethod
    def _memory_of(headers, body, secrets, others):
        tracemalloc.start()
        try:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            diagnose(headers, body, secrets, others=others, now=NOW)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()

    def _line(self, frame, event, arg):
        self.steps += event == "line"
        return self._line

    def _call(self, frame, event, arg):
        if event == "c_call":
            self.steps += 1
            owner = getattr(arg, "__self__", None)
            of = "" if owner is None or isinstance(owner, types.ModuleType) else f"{type(owner).__name__}."
            self.c_functions.add(of + arg.__name__)
            if arg.__name__ == "update" and "msg" in frame.f_locals:  # in hmac.py
                self.hashed += len(frame.f_locals["msg"])
            if of == "Pattern.":
                assert isinstance(owner.pattern, str), "a pattern is matched against bytes of the body"


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("secrets", [(SECRET,), (SECRET, b64(SECRET), "a text that is none of Whop's") * 3])
@pytest.mark.parametrize("size", [2_000, 8_000, MAX_BODY])
def test_whatever_the_body_a_diagnosis_is_bounded_in_work_and_in_memory(kind, secrets, size):
    body = hostile(kind, size)
    assert size * 0.7 < len(body) <= size
    work = Work(body, secrets=secrets, others={"another": [OTHER_SECRET[::-1]]})
    assert work.steps < MOST_STEPS
    assert work.hashed <= MAX_HASHED
    assert work.memory < 7 * MAX_BODY


@pytest.mark.parametrize("size", [2_000, 4_000, 8_000, MAX_BODY // 2])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_body_twice_as_long_makes_at_most_twice_the_work(kind, size):
    bodies = hostile(kind, size), hostile(kind, 2 * size)
    small, large = map(Work, bodies)
    times = len(bodies[1]) / len(bodies[0])
    for measure, base in (("steps", "steps"), ("hashed", "hashed"), ("memory", "most_memory")):
        assert getattr(large, measure) <= 1.05 * times * getattr(small, base) + LITTLE, measure


def test_no_step_towards_a_guess_is_of_a_kind_that_may_be_worse_than_linear():
    work = [Work(hostile(kind, size)) for kind in HOSTILE for size in (2_000, MAX_BODY)]
    called = {name for one in work for name in one.c_functions if name.startswith(("bytes.", "bytearray.", "str."))}
    assert called <= LINEAR


@settings(max_examples=examples(200))
@given(
    st.lists(st.sampled_from([piece for pieces in HOSTILE.values() for piece in pieces if piece]), max_size=6),
    st.integers(1, 2_000),
    st.booleans(),
)
def test_no_mixture_of_what_is_hostile_is_worse(pieces, times, one_by_one):
    mixed = b"".join(piece * times for piece in pieces) if one_by_one else b"".join(pieces) * times
    work = Work(mixed[:MAX_BODY])
    assert work.steps < MOST_STEPS
    assert work.hashed <= MAX_HASHED
    assert work.memory < 7 * MAX_BODY


@pytest.mark.parametrize(
    "value", ["x" * 200_000, "t=1,v1=" * 9_000, "v1," * 9_000, "1" * 100_000, " " * 100_000, "\n" * 99_999]
)
@pytest.mark.parametrize("name", [*request(), "x-whop-signature", "content-encoding"])
def test_no_header_makes_more_work_than_its_length(name, value):
    assert Work(BODY, request(OTHER_SECRET) | {name: value}).steps < MOST_STEPS
    assert Work(BODY, {name: value}).steps < 1_000
    assert Work(b"", request(OTHER_SECRET) | {name: value}).steps < 1_000
