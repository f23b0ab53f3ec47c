"""A body that cannot be read, or not be understood, is the sender's fault, and the log says what it is."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from io import BytesIO

import pytest
from flask import got_request_exception
from werkzeug.exceptions import BadRequest, ClientDisconnected

from tests.shop import BODY, PATH, good_headers, post


class Failing:
    """A body whose reading fails, as that of a server does, after ``first``."""

    def __init__(self, error, first=b""):
        self._error = error
        self._first = BytesIO(first)

    def read(self, size=-1):
        if data := self._first.read(size):
            return data
        raise self._error


class OfAServer(Exception):
    """What no library but the server's knows."""


FAULTS = [
    *(OfAServer("Invalid chunk size"), OSError("reset"), TimeoutError(), ConnectionResetError(), EOFError()),
    *(ValueError("no number"), RuntimeError(), StopIteration(), KeyError("size"), zlib.error(), struct.error()),
    *(AssertionError(), MemoryError(), RecursionError(), UnicodeDecodeError("ascii", b"\xff", 0, 1, "no")),
    *(BadRequest(), ClientDisconnected()),
]


def post_failing(app, error, first, announced):
    length = {"CONTENT_LENGTH": "9999"} if announced else {"HTTP_TRANSFER_ENCODING": "chunked"}
    overrides = {"wsgi.input_terminated": True, "wsgi.input": Failing(error, first), **length}
    return app.test_client().post(PATH, headers=good_headers(), environ_overrides=overrides)


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("first", [b"", BODY[:10]])
@pytest.mark.parametrize("announced", [True, False])
def test_whatever_reading_the_body_raises_is_the_senders_fault_and_one_line_of_the_log(
    app, whop, calls, reasons, caplog, error, first, announced
):
    told = []
    got_request_exception.connect(tell := lambda app, exception: told.append(exception), app)
    assert post_failing(app, error, first, announced).status_code == 400
    assert reasons[0] in ("body_unreadable", "body_incomplete", "body_eaten")
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.exc_info is None
    if reasons == ["body_unreadable"]:
        assert f"; {type(error).__name__})" in record.getMessage()
    assert (calls, told) == ([], [])
    del tell


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_process_that_is_told_to_stop_while_it_reads_stops(app, whop, error, announced):
    with pytest.raises(error):
        post_failing(app, error(), b"", announced)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip, deflate"])
def test_a_compressed_body_is_told_by_the_name_of_its_encoding(app, whop, calls, reasons, caplog, encoding):
    headers = good_headers() | {"content-encoding": encoding}
    answer = post(app, headers, gzip.compress(BODY))
    assert answer.status_code == 401
    assert answer.data == post(app, {}).data
    assert (calls, reasons) == ([], ["body_encoded", "headers_missing"])
    assert f"Content-Encoding: {encoding})" in caplog.records[0].getMessage()


def test_what_is_called_an_encoding_is_cut_and_escaped_in_the_log(app, whop, caplog):
    hostile = {"HTTP_CONTENT_ENCODING": "gzip\r\nWARNING forged \x1b[31m\xfc" + "x" * 10_000}
    answer = app.test_client().post(PATH, data=gzip.compress(BODY), headers=good_headers(), environ_overrides=hostile)
    assert answer.status_code == 401
    [record] = caplog.records
    assert r"gzip\r\nWARNING forged \x1b[31m\xfc" in record.getMessage()
    assert len(record.getMessage()) < 500
    assert record.getMessage().isprintable()


@pytest.mark.parametrize("encoding", [None, "", "identity"])
def test_a_body_that_is_not_encoded_and_not_utf8_is_told_as_that(app, whop, reasons, encoding):
    headers = good_headers() | ({} if encoding is None else {"content-encoding": encoding})
    assert post(app, headers, b"\xff").status_code == 401
    assert reasons == ["body_not_utf8"]


def test_an_encoding_that_a_proxy_has_undone_and_still_names_harms_nothing(app, whop, calls):
    assert post(app, good_headers() | {"content-encoding": "gzip"}).status_code == 200
    assert len(calls) == 1


@pytest.mark.parametrize("size", [1, 16_383, 16_384, 16_385, 200_000])
@pytest.mark.parametrize("letter", ["\u00eb", "\u20ac", "\U0001f600"])
def test_letters_that_take_several_bytes_are_read_wherever_they_stand(app, whop, calls, size, letter):
    whole = json.dumps({"type": "payment.succeeded", "x": "y" * (size - 1) + letter * 3}, ensure_ascii=False).encode()
    assert post(app, good_headers(whole), whole).status_code == 200
    for cut in range(1, len(letter.encode())):
        broken = whole[: -2 - cut] + b'"}'
        assert post(app, good_headers(), broken).status_code == 401
    assert len(calls) == 1


def nested(levels):
    around = (levels - 1) // 2
    return b'{"type": "payment.succeeded", "data": ' + b'[{"a":' * around + b"1" + b"}]" * around + b"}"


@pytest.mark.parametrize("levels", [3, 199, 201, 255, 499])
def test_json_that_is_nested_deep_is_read(app, whop, calls, levels):
    body = nested(levels)
    assert post(app, good_headers(body), body).status_code == 200
    assert calls[0].raw["type"] == "payment.succeeded"
    assert calls[0].data is not None


@pytest.mark.parametrize(
    "body", [nested(501), nested(991), nested(5_001), b'{"a":' + b"[" * 989 + b"]" * 989 + b"}", b"[" * 200_000]
)
def test_json_that_is_nested_too_deeply_is_told_as_that(app, whop, calls, reasons, body):
    answer = post(app, good_headers(body), body)
    assert answer.status_code == 400
    assert "nested too deeply" in answer.json["message"]
    assert (calls, reasons) == ([], ["nested_too_deeply"])


def test_how_deep_is_too_deep_does_not_depend_on_who_calls(app, whop, calls):
    def deeper(times, function):
        return deeper(times - 1, function) if times else function()

    for times in (0, 200):
        for levels, status in ((499, 200), (501, 400)):
            body = nested(levels)
            assert deeper(times, lambda body=body: post(app, good_headers(body), body)).status_code == status


def test_a_number_of_too_many_digits_is_told_as_that(app, whop, calls, reasons):
    body = b'{"type": "payment.succeeded", "data": ' + b"9" * 5_000 + b"}"
    answer = post(app, good_headers(body), body)
    assert answer.status_code == 400
    assert "digits" in answer.json["message"]
    assert (calls, reasons) == ([], ["number_too_long"])
