"""Functions that use yield: of what a call would not run, nothing is connected."""

from __future__ import annotations

import io
import threading
from collections import deque
from contextlib import asynccontextmanager, closing, contextmanager
from functools import lru_cache, partial, update_wrapper, wraps
from types import coroutine
from unittest.mock import MagicMock

import pytest
from flask import copy_current_request_context

from flask_whop.errors import ReceiverError
from flask_whop.signals import delivery_rejected, payment_succeeded
from flask_whop.signals.checks import unrun


def generates(app, event):
    yield


async def generates_too(app, event):
    yield


def passing_on(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Generates:
    def __call__(self, app, event):
        yield

    def method(self, app, event):
        yield

    @passing_on
    def decorated(self, app, event):
        yield


class Decorator:
    """A decorator that is a class, as some are."""

    def __init__(self, function):
        update_wrapper(self, function)
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


DECORATORS = {
    "nothing": lambda function: function,
    "partial": partial,
    "wraps": passing_on,
    "wraps twice": lambda function: passing_on(passing_on(function)),
    "a partial of wraps": lambda function: partial(passing_on(function)),
    "a class": Decorator,
    "lru_cache": lru_cache,
    "contextmanager": contextmanager,
    "asynccontextmanager": asynccontextmanager,
}


@pytest.mark.parametrize("decorator", DECORATORS.values(), ids=DECORATORS.keys())
@pytest.mark.parametrize(
    "receiver",
    [generates, generates_too, Generates().method, Generates().decorated],
    ids=["function", "async function", "method", "decorated method"],
)
def test_what_uses_yield_is_refused_whatever_is_around_it_since_a_call_would_run_nothing(
    app, whop, decorator, receiver
):
    for connect in (payment_succeeded.connect, payment_succeeded.connect_via(app), whop.on("*")):
        with pytest.raises(ReceiverError, match="yield"):
            connect(decorator(receiver))
    with pytest.raises(ReceiverError, match="yield"):
        delivery_rejected.connect(decorator(receiver))


def test_an_object_whose_call_uses_yield_is_refused():
    with pytest.raises(ReceiverError, match="yield"):
        payment_succeeded.connect(Generates())


def running(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        for _ in function(*args, **kwargs):
            pass

    return wrapper


def draining(function):
    return wraps(function)(lambda *args, **kwargs: deque(function(*args, **kwargs), maxlen=0))


def stepping(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        steps = function(*args, **kwargs)
        while next(steps, steps) is not steps:
            pass

    return wrapper


def awaiting(function):
    @wraps(function)
    async def wrapper(*args, **kwargs):
        for _ in function(*args, **kwargs):
            pass

    return wrapper


@pytest.mark.parametrize("decorator", [running, draining, stepping, awaiting])
def test_a_decorator_that_runs_the_generator_makes_a_receiver_of_it(sender, decorator):
    ran = []

    @payment_succeeded.connect
    @decorator
    def fulfil(app, event):
        ran.append("first")
        yield 1
        ran.append("second")

    assert sender.deliver("payment.succeeded").status_code == 200
    assert ran == ["first", "second"]


def inside_a_context(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        with closing(Shelf()):
            return function(*args, **kwargs)

    return wrapper


class Shelf:
    def close(self): ...


@contextmanager
def counted():
    yield


@pytest.mark.parametrize(
    "decorator",
    [passing_on, Decorator, lru_cache, partial, inside_a_context, counted(), copy_current_request_context],
)
def test_a_decorator_around_a_plain_function_is_nothing_to_refuse(app, sender, decorator):
    ran = []

    def fulfil(app, event):
        ran.append(event.type)

    with app.test_request_context():
        payment_succeeded.connect(decorator(fulfil))
    assert sender.deliver("payment.succeeded").status_code == 200
    assert ran == ["payment.succeeded"]


@coroutine
def awaitable(app, event):
    yield


def test_a_generator_that_can_be_awaited_is_a_coroutine_to_us():
    payment_succeeded.connect(awaitable)


def test_what_a_call_gave_that_nobody_would_run_has_a_name():
    left = {
        "a generator": (generates(None, None), (one for one in ())),
        "an async generator": (generates_too(None, None),),
        "a map": (map(print, ()),),
        "a filter": (filter(print, ()),),
        "a context manager": (counted(), asynccontextmanager(generates_too)(None, None)),
    }
    for name, results in left.items():
        assert [unrun(result) for result in results] == [name] * len(results)


def test_what_a_call_gave_when_all_is_done_or_awaited_has_none():
    async def receiver(): ...

    awaited = [receiver(), awaitable(None, None)]
    closed = [closing(Shelf()), threading.Lock(), io.StringIO()]
    for result in (None, 1, "text", [], {}, object(), MagicMock(), len, *closed, *awaited):
        assert unrun(result) is None
    for one in awaited:
        one.close()


def test_an_async_receiver_that_returns_what_nobody_runs_has_failed(sender):
    async def fulfil(app, event):
        return (one for one in "ab")

    payment_succeeded.connect(fulfil)
    answer = sender.deliver("payment.succeeded", id="msg_1")
    assert (answer.status_code, answer.json["status"]) == (500, "failed")
