"""What is not signed by Whop never reaches a receiver, and never makes a 5xx."""

from __future__ import annotations

import base64
import json
import time
import tracemalloc
from datetime import datetime, timezone
from io import BytesIO

import pytest
from flask import request
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from flask_whop import WhopWebhooks
from flask_whop.errors import Rejected
from flask_whop.signals import delivery_received
from flask_whop.signature import MAX_CANDIDATES, Delivery, Verifier, sign
from flask_whop.testing import signed
from tests import examples
from tests.shop import BODY, OTHER_SECRET, PATH, SECRET, Sender, good_headers, new_app, post

# The behaviour of the public test suite of Standard Webhooks, against the endpoint.


def test_a_good_signature_is_accepted(app, whop, calls):
    assert post(app, good_headers()).status_code == 200
    assert len(calls) == 1


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_missing_header_is_rejected(app, whop, calls, reasons, missing, how):
    headers = good_headers()
    if how == "absent":
        del headers[missing]
    else:
        headers[missing] = ""
    assert post(app, headers).status_code == 401
    assert (calls, reasons) == ([], ["headers_missing"])


def test_a_wrong_signature_is_rejected(app, whop, calls, reasons):
    headers = good_headers() | {"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="}
    assert post(app, headers).status_code == 401
    assert (calls, reasons) == ([], ["signature_mismatch"])


@pytest.mark.parametrize(("shift", "reason"), [(-301, "timestamp_too_old"), (302, "timestamp_too_new")])
def test_a_signature_outside_the_tolerance_is_rejected(app, whop, calls, reasons, shift, reason):
    assert post(app, good_headers(timestamp=int(time.time()) + shift)).status_code == 401
    assert (calls, reasons) == ([], [reason])


@pytest.mark.parametrize("shift", [-290, 290])
def test_a_signature_inside_the_tolerance_is_accepted(app, whop, calls, shift):
    assert post(app, good_headers(timestamp=int(time.time()) + shift)).status_code == 200


def test_a_good_signature_among_others_is_accepted(app, whop, calls):
    good = good_headers()["webhook-signature"]
    other = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    headers = good_headers() | {"webhook-signature": f"v1,{other} v2,{other} {good} v1,{other}"}
    assert post(app, headers).status_code == 200


def test_a_good_signature_under_another_version_is_rejected(app, whop, calls):
    headers = good_headers()
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    assert post(app, headers).status_code == 401


def test_signing_agrees_with_the_library_given_the_bytes_of_the_secret():
    headers = sign(BODY, SECRET, delivery_id="msg_1", timestamp=1_614_265_330)
    at = datetime.fromtimestamp(1_614_265_330, tz=timezone.utc)
    assert headers["webhook-signature"] == Webhook(SECRET.encode()).sign("msg_1", at, BODY.decode())


# Whop's rule: the key is the text of the whole secret.


@pytest.mark.parametrize(
    "key",
    [
        base64.b64decode(SECRET.removeprefix("ws_")),
        SECRET.removeprefix("ws_").encode(),
        bytes.fromhex(SECRET.removeprefix("ws_")),
        base64.b64encode(SECRET.encode()),
        (SECRET + "\n").encode(),
        OTHER_SECRET.encode(),
    ],
)
def test_a_signature_under_any_other_reading_of_the_secret_is_rejected(app, whop, calls, key):
    now = datetime.now(timezone.utc)
    headers = good_headers() | {"webhook-signature": Webhook(key).sign("msg_1", now, BODY.decode())}
    assert post(app, headers).status_code == 401
    assert calls == []


def test_each_of_several_secrets_is_accepted_and_its_index_is_told(app, calls):
    app.config["WHOP_WEBHOOK_SECRET"] = [SECRET, OTHER_SECRET]
    WhopWebhooks(app)
    indices = []
    delivery_received.connect(lambda app, delivery: indices.append(delivery.secret_index))
    for secret in (OTHER_SECRET, SECRET):
        assert Sender(app, secret).deliver("payment.succeeded").status_code == 200
    assert indices == [1, 0]


def test_the_tolerance_can_be_set(app, calls):
    app.config["WHOP_WEBHOOK_TOLERANCE"] = 10
    WhopWebhooks(app)
    assert post(app, good_headers(timestamp=int(time.time()) - 20)).status_code == 401
    assert post(app, good_headers()).status_code == 200


def test_a_body_that_was_changed_after_signing_is_rejected(app, whop, calls):
    assert post(app, good_headers(), BODY.replace(b"pay_1", b"pay_2")).status_code == 401
    assert post(app, good_headers(), BODY + b"\r\n").status_code == 401
    assert calls == []


def test_the_old_format_is_rejected_under_a_reason_of_its_own(app, whop, reasons):
    assert post(app, {"x-whop-signature": "t=1,v1=00"}).status_code == 401
    assert reasons == ["old_format"]


def test_all_rejections_of_a_signature_have_one_and_the_same_answer(app, whop):
    good = good_headers()
    broken = [
        {},
        good | {"webhook-timestamp": "1"},
        good | {"webhook-timestamp": "x"},
        good | {"webhook-signature": "v1,x"},
        good | {"webhook-id": "msg_2"},
        {"x-whop-signature": "t=1,v1=00"},
    ]
    answers = [post(app, headers) for headers in broken]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1


# The hazards of standardwebhooks.


@pytest.mark.parametrize(
    "signature",
    ["garbage", "v1", "v1,a,b", "v1,not base64", "v1,ü", "v1,", ",", " ", "  v1,", "v1,AAAA", "v1," + "A" * 43],
)
def test_hazard_malformed_signature_headers_are_rejections_and_no_other_exception(app, whop, calls, reasons, signature):
    answer = post(app, good_headers() | {"webhook-signature": signature})
    assert answer.status_code == 401
    assert calls == []
    assert reasons == ["signature_malformed"]


def test_hazard_a_body_that_is_not_utf8_is_a_rejection(app, whop, reasons):
    assert post(app, good_headers(), b'{"type": "\xff"}').status_code == 401
    assert reasons == ["body_not_utf8"]


def test_hazard_garbage_good_is_accepted_like_good_garbage(app, whop, calls):
    good = good_headers()["webhook-signature"]
    for signature in (f"garbage {good}", f"{good} garbage", f"v1,a,b  {good}", f"v1, {good}", f"{good},", f",{good}"):
        assert post(app, good_headers() | {"webhook-signature": signature}).status_code == 200, signature
    assert len(calls) == 1


def test_hazard_two_signature_headers_are_read_though_they_arrive_joined_by_a_comma(app, whop, calls):
    good = good_headers()["webhook-signature"]
    bad = "v1," + "A" * 43 + "="
    for signature in (f"{bad},{good}", f"{good},{bad}", f"{bad}, {good}"):
        assert post(app, good_headers() | {"webhook-signature": signature}).status_code == 200, signature


def test_hazard_the_number_of_candidates_is_capped(app, whop, calls):
    good = good_headers()["webhook-signature"]
    bad = "v1," + "A" * 43 + "= "
    accepted = good_headers() | {"webhook-signature": bad * (MAX_CANDIDATES - 1) + good}
    assert post(app, accepted).status_code == 200
    for many in (MAX_CANDIDATES, 10_000):
        assert post(app, good_headers() | {"webhook-signature": bad * many + good}).status_code == 401


@pytest.mark.parametrize(
    "form", ["{}.9", " {} ", "+{}", "0{}", "{}e0", "1_{}", "{}\N{FULLWIDTH DIGIT ONE}", "-{}", "nan", "inf"]
)
def test_hazard_a_timestamp_is_ascii_digits_and_nothing_else(whop, calls, form):
    # Through the verifier, since HTTP servers trim and refuse some of these before us.
    headers = good_headers()
    headers["webhook-timestamp"] = form.format(headers["webhook-timestamp"])
    with pytest.raises(Rejected) as rejected:
        Verifier([SECRET]).verify(headers, BODY)
    assert rejected.value.reason.value == "timestamp_malformed"


@pytest.mark.parametrize("delivery_id", ["msg.1", "msg 1", "msg\u00fc", "m" * 256, "msg/../1"])
def test_an_id_is_letters_digits_and_dashes_so_that_nothing_signed_can_shift_into_it(app, whop, reasons, delivery_id):
    answer = post(app, good_headers() | {"webhook-id": delivery_id.encode().decode("latin-1")})
    assert answer.status_code == 401
    assert reasons == ["id_malformed"]


def test_a_signed_part_cannot_shift_from_the_id_into_the_timestamp(app, whop, calls):
    now = int(time.time())
    headers = sign(BODY, SECRET, delivery_id=f"msg_1.{now}", timestamp=now)
    shifted = headers | {"webhook-id": "msg_1"}
    assert post(app, shifted, f"{now}.".encode() + BODY).status_code == 400
    assert post(app, headers).status_code == 401
    assert calls == []


# The hazards of Flask and Werkzeug.


def test_hazard_a_hook_that_reads_the_stream_leaves_the_delivery_whole(app, whop, calls):
    @app.before_request
    def log_body():
        request.stream.read()

    assert post(app, good_headers()).status_code == 200
    assert len(calls) == 1


def test_hazard_a_hook_that_parses_the_form_leaves_the_delivery_whole(app, whop, calls):
    @app.before_request
    def look():
        assert request.form is not None
        assert request.get_json(silent=True) is None

    headers = good_headers() | {"content-type": "application/x-www-form-urlencoded"}
    assert post(app, headers).status_code == 200


@pytest.mark.parametrize("server", [{}, {"wsgi.input_terminated": True}])
def test_hazard_a_body_that_was_eaten_before_the_app_is_told_in_clear_words(app, whop, reasons, server):
    inner = app.wsgi_app

    def eats_the_body(environ, start_response):
        environ["wsgi.input"].read()
        environ.update(server)
        return inner(environ, start_response)

    app.wsgi_app = eats_the_body
    answer = post(app, good_headers())
    assert answer.status_code == 400
    assert "hook" in answer.json["message"]
    assert reasons == ["body_eaten"]


@pytest.mark.parametrize("server", [{}, {"wsgi.input_terminated": True}])
def test_a_body_cut_short_is_told_in_clear_words(app, whop, reasons, server):
    answer = app.test_client().post(
        PATH, headers=good_headers(), input_stream=BytesIO(BODY), environ_overrides={"CONTENT_LENGTH": "9999", **server}
    )
    assert answer.status_code == 400
    assert reasons == ["body_incomplete"]


class InPieces:
    """What comes over a network: a few bytes at a time, and nothing but reads."""

    def __init__(self, body):
        self._left = BytesIO(body)

    def read(self, size=-1):
        return self._left.read(min(size, 7))


@pytest.mark.parametrize("server", [{}, {"wsgi.input_terminated": True}])
def test_a_body_that_comes_in_pieces_is_read_whole_and_can_be_read_again(app, whop, calls, server):
    read = []

    @app.before_request
    def look():
        read.append((request.get_data(), request.get_json()))

    inner = app.wsgi_app

    def slow(environ, start_response):
        return inner({**environ, "wsgi.input": InPieces(BODY), **server}, start_response)

    app.wsgi_app = slow
    assert post(app, good_headers() | {"content-type": "application/json"}).status_code == 200
    assert read == [(BODY, json.loads(BODY))]


def test_a_body_that_a_preprocessor_of_the_app_has_read_is_taken_from_it(app, calls):
    app.url_value_preprocessor(lambda _endpoint, _values: request.get_data())
    WhopWebhooks(app)
    assert post(app, good_headers()).status_code == 200
    assert len(calls) == 1


def test_a_body_that_was_unpacked_on_the_way_is_read_to_its_end(app, whop, calls):
    inner = app.wsgi_app

    def unpacks(environ, start_response):
        changed = {"wsgi.input": BytesIO(BODY), "wsgi.input_terminated": True, "CONTENT_LENGTH": "5"}
        return inner({**environ, **changed}, start_response)

    app.wsgi_app = unpacks
    assert post(app, good_headers()).status_code == 200
    assert len(calls) == 1


def chunked(app, body, headers):
    """Post a body without a Content-Length, as servers pass on a chunked one."""
    return app.test_client().post(
        PATH,
        headers={**headers, "transfer-encoding": "chunked"},
        input_stream=BytesIO(body),
        environ_overrides={"wsgi.input_terminated": True},
    )


def test_hazard_a_body_over_the_limit_is_answered_413_chunked_or_not(app, calls, reasons):
    app.config["WHOP_WEBHOOK_MAX_BYTES"] = len(BODY)
    WhopWebhooks(app)
    longer = BODY + b" "
    assert post(app, good_headers()).status_code == 200
    assert chunked(app, BODY, good_headers()).status_code == 200
    assert post(app, good_headers(longer), longer).status_code == 413
    assert chunked(app, longer, good_headers(longer)).status_code == 413
    assert chunked(app, BODY * 1000, good_headers(BODY * 1000)).status_code == 413
    assert reasons == ["body_too_large"] * 3


def test_a_lower_limit_of_the_app_does_not_reach_the_webhook(app, whop, calls):
    app.config["MAX_CONTENT_LENGTH"] = 5
    assert post(app, good_headers()).status_code == 200
    assert chunked(app, BODY, good_headers()).status_code == 200


# Whatever comes.

header_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=80)
words = st.sampled_from(
    ["v1,", "v1", "garbage", ",", " ", "v2,AAAA", "v1," + "A" * 43 + "=", "v1,a,b", "whsec_", "=", "v1a,"]
)


@settings(max_examples=examples(150))
@given(
    delivery_id=st.one_of(st.none(), header_text, st.just("msg_1")),
    timestamp=st.one_of(st.none(), header_text, st.integers().map(str), st.just(str(int(time.time())))),
    signature=st.one_of(st.none(), header_text, st.lists(words).map("".join)),
    body=st.one_of(st.binary(max_size=200), st.just(BODY)),
    content_type=header_text,
)
@example(delivery_id="msg_1", timestamp="9" * 400, signature="v1,", body=b"", content_type="")
def test_no_forgery_whatever_its_form_reaches_a_receiver_or_makes_a_5xx(
    delivery_id, timestamp, signature, body, content_type
):
    app, calls = _app_with_calls()
    headers = {"content-type": content_type}
    for name, value in (("id", delivery_id), ("timestamp", timestamp), ("signature", signature)):
        if value is not None:
            headers[f"webhook-{name}"] = value
    answer = post(app, headers, body)
    assert answer.status_code == 401
    assert calls == []


@settings(max_examples=examples(150))
@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_no_signed_body_whatever_it_holds_makes_a_5xx(body):
    app, _ = _app_with_calls()
    try:
        body.decode()
    except UnicodeDecodeError:
        return
    assert app.test_client().post(PATH, **signed(body, SECRET)).status_code in (200, 400)


@settings(max_examples=examples(100))
@given(before=st.lists(words, max_size=5), after=st.lists(words, max_size=5), gap=st.sampled_from([" ", ",", "  "]))
def test_a_good_signature_is_found_in_whatever_order_the_candidates_come(before, after, gap):
    app, calls = _app_with_calls()
    headers = good_headers()
    headers["webhook-signature"] = gap.join([*before, headers["webhook-signature"], *after]).strip()
    assert post(app, headers).status_code == 200
    assert len(calls) == 1


@given(
    st.text(min_size=16, max_size=40),
    st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    st.integers(1, 99_999_999_999),
    st.text(max_size=300),
)
def test_what_the_library_signs_is_verified_and_nothing_else_is(secret, delivery_id, seconds, text):
    body = text.encode("utf-8", "replace")
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    key = secret.encode("utf-8", "replace").decode()
    signature = Webhook(key.encode()).sign(delivery_id, at, body.decode())
    headers = {"webhook-id": delivery_id, "webhook-timestamp": str(seconds), "webhook-signature": signature}
    verifier = Verifier([OTHER_SECRET, key], clock=lambda: seconds)
    assert verifier.verify(headers, body) == Delivery(delivery_id, seconds, body, 1)
    with pytest.raises(Rejected):
        verifier.verify(headers, body + b" ")


@pytest.mark.parametrize("body", [b"x" * 1_000_000, "\U0001f600".encode() * 250_000, b"x" * 999_999 + b"\xff"])
def test_telling_a_forgery_takes_room_for_one_copy_of_its_body_and_no_more(body):
    headers = good_headers() | {"webhook-signature": "v1," + "A" * 43 + "="}
    verifier = Verifier([SECRET, OTHER_SECRET])
    tracemalloc.start()
    try:
        with pytest.raises(Rejected):
            verifier.verify(headers, body)
        assert tracemalloc.get_traced_memory()[1] < 1.2 * len(body)
    finally:
        tracemalloc.stop()


def _app_with_calls():

    app = new_app(name="forged", WHOP_STORE="memory://")
    calls = []
    WhopWebhooks(app).on("payment.succeeded")(lambda app, event: calls.append(event))
    return app, calls
