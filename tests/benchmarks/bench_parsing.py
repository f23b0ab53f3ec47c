"""What it costs to parse one payment, side by side in one run, in both of Whop's shapes.

    python -m pytest -c tests/benchmarks/pytest.ini tests/benchmarks/bench_parsing.py

The plainest equivalent is a pydantic model with the same fields and sub-models and
nothing else: amounts are Decimals or bare objects, times are datetimes, no id, name or
currency of the other shape is filled in, and what does not fit fails. The mere decoding
of the bytes stands beside it.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from functools import cache, reduce
from operator import or_

import pytest
from pydantic import BaseModel, ConfigDict, create_model
from pydantic_core import from_json

from flask_whop.events import parse_event
from flask_whop.events.samples import _shapes
from flask_whop.testing import sample

PIN = "2026-10-15-1"
BODIES = {pin or "unpinned": json.dumps(sample("payment.succeeded", pin)).encode() for pin in (None, PIN)}
PLAIN = {
    "bool": bool,
    "int": int,
    "float": Decimal,
    "datetime": datetime,
    "str": str,
    "dict[str, Any]": dict,
    "dict[str, str]": dict,
}


class Plain(BaseModel):
    model_config = ConfigDict(extra="allow")


@cache
def plain(shape, name):
    """The plainest model of one of Whop's payload classes."""
    fields = getattr(_shapes(), shape)[name]
    return create_model(
        name,
        __base__=Plain,
        **{field: (plain_type(shape, kind) | None, None) for field, (kind, _) in fields.items()},
    )


def plain_type(shape, kind):
    if kind.startswith("list["):
        return list[plain_type(shape, kind[5:-1])]
    if kind == "Money":
        return plain_money()
    inner = [plain(shape, one) for one in kind.split(" | ") if one in getattr(_shapes(), shape)]
    return reduce(or_, inner) if inner else PLAIN[kind]


@cache
def plain_money():
    return create_model(
        "Money",
        __base__=Plain,
        amount=(Decimal, ...),
        currency=(str, ...),
        decimals=(int, 2),
        display_decimals=(int, 2),
    )


@pytest.fixture(params=BODIES)
def body(request):
    return BODIES[request.param], "unpinned" if request.param == "unpinned" else "pinned"


def decoded(body, model):
    return from_json(body)


def plainly(body, model):
    return model.model_validate(from_json(body)["data"])


def typed(body, model):
    return parse_event(body, "msg_1").data


@pytest.mark.parametrize("parse", [decoded, plainly, typed], ids=["decoded alone", "plainest model", "flask-whop"])
def bench_parsing(benchmark, parse, body):
    content, shape = body
    model = plain(shape, "Payment")
    assert parse(content, model)
    benchmark.group = shape
    benchmark(parse, content, model)
