"""Watches what an app's hooks do to a request to the webhook's route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from flask_whop.config import NAME
from flask_whop.names import name_of


class Hook(NamedTuple):
    """A function of the app that affected an answer."""

    name: str
    action: str
    """What it did, such as "answered 302"."""


@contextmanager
def watched(app: Flask, hooks: list[Hook]) -> Iterator[None]:
    """Add to ``hooks`` which of the app's functions answer, raise, or change the status of an answer."""
    lists: list[tuple[list[Any], Callable[..., Any]]] = [
        *((functions, _before) for functions in _of_the_route(app.before_request_funcs)),
        *((functions, _after) for functions in _of_the_route(app.after_request_funcs)),
    ]
    originals = [list(functions) for functions, _ in lists]
    for functions, watch in lists:
        functions[:] = [watch(app, function, hooks) for function in functions]
    try:
        yield
    finally:
        for (functions, _), original in zip(lists, originals, strict=True):
            functions[:] = original


def _of_the_route(scopes: Any) -> list[list[Any]]:
    return [functions for scope, functions in scopes.items() if scope in (None, NAME)]


def _before(app: Flask, function: Callable[..., Any], hooks: list[Hook]) -> Callable[[], Response | None]:
    def before() -> Response | None:
        with _noting(function, hooks):
            answer = app.ensure_sync(function)()
        if answer is None:
            return None
        response = app.make_response(answer)
        hooks.append(Hook(name_of(function), f"answered {response.status_code}"))
        return response

    return before


def _after(app: Flask, function: Callable[..., Any], hooks: list[Hook]) -> Callable[[Response], Response]:
    def after(response: Response) -> Response:
        was = response.status_code
        with _noting(function, hooks):
            answer: Response = app.ensure_sync(function)(response)
        if answer.status_code != was:
            hooks.append(Hook(name_of(function), f"turned {was} into {answer.status_code}"))
        return answer

    return after


@contextmanager
def _noting(function: Callable[..., Any], hooks: list[Hook]) -> Iterator[None]:
    try:
        yield
    except HTTPException as error:
        hooks.append(Hook(name_of(function), f"answered {error.code}"))
        raise
    except Exception as error:
        hooks.append(Hook(name_of(function), f"raised {type(error).__name__}"))
        raise
