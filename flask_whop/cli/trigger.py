"""``flask whop trigger``: sends the app an event, signed as Whop signs it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from copy import deepcopy
from pathlib import Path
from random import shuffle
from uuid import uuid4

import click
from flask import current_app
from flask.cli import with_appcontext
from pydantic import JsonValue

from flask_whop.cli.events import complete
from flask_whop.cli.output import Age, as_json, fault, stdout_kept_clean, styled, table
from flask_whop.cli.sending import over_http
from flask_whop.cli.stories import Occasion, value_of
from flask_whop.engine.installation import Installation
from flask_whop.engine.posting import Answer, Post, in_process, send
from flask_whop.events.fields import fill
from flask_whop.events.samples import refuse_pattern
from flask_whop.events.samples.scenarios import scenarios
from flask_whop.grammar import counted
from flask_whop.names import shown
from flask_whop.signature import ID, SignedRequest, signed

_PROGRESS_FROM = 50
_MOST_SHOWN = 30
_LAST_SECOND = 253_402_300_800
_WRONG_SECRET = "ws_" + "0" * 64


@click.command("trigger")
@click.argument("event_type", metavar="[TYPE]", required=False, shell_complete=complete)
@click.option("--scenario", type=click.Choice([*scenarios()]), help="Deliver a whole story instead of one event.")
@click.option("--url", help="Where to deliver. Default: the local server, http://127.0.0.1:5000/webhooks/whop.")
@click.option("--in-process", "local", is_flag=True, help="Deliver to the app in this process, without a server.")
@click.option(
    *("--set", "settings"),
    multiple=True,
    metavar="PATH=VALUE",
    help="Set a field, to JSON or text: data.user.email=a@b.c. id= is the event's and the delivery's.",
)
@click.option("--body", "source", metavar="FILE", help="Read the body from a file, or from standard input with -.")
@click.option("--pin", help="Use the payload shape of this version pin, such as 2026-10-15-1.")
@click.option("--times", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many events.")
@click.option("--concurrent", type=click.IntRange(1, 64), default=1, show_default=True, help="How many at a time.")
@click.option("--seed", metavar="TEXT", help="Deliver the same bodies in each run with this TEXT.")
@click.option("--duplicate", is_flag=True, help="Deliver each event twice, with the same id.")
@click.option("--reorder", is_flag=True, help="Deliver the events in random order.")
@click.option("--age", type=Age(), default=0.0, help="How long ago they were signed: 400 (seconds), 10m, 2h.")
@click.option("--bad-signature", is_flag=True, help="Sign with a wrong secret; the right answer is then 401.")
@click.option("--json", "machine", is_flag=True, help="Print JSON, for scripts.")
@with_appcontext
def command(  # noqa: PLR0913  # one for each option
    event_type: str | None,
    *,
    scenario: str | None,
    url: str | None,
    local: bool,
    settings: Sequence[str],
    source: str | None,
    pin: str | None,
    times: int,
    concurrent: int,
    seed: str | None,
    duplicate: bool,
    reorder: bool,
    age: float,
    bad_signature: bool,
    machine: bool,
) -> None:
    """Deliver an event of TYPE to the app as Whop would, and show the answer.

    Each event has its own id, is about a resource of its own, and is signed with the
    app's secret. It goes to the server at --url or, with --in-process, to the app loaded
    by this command. The exit status is 0 if every answer is the right one.

    --set id=msg_1 gives the event and its delivery that id, so the same command sends
    the same delivery again; --set data.id=pay_1 is the id of the payment or whatever it
    is about. A field that the body doesn't have is refused.

    --scenario delivers the events of one story in Whop's order, about the same person
    and membership, the last of them happening now. There, --set replaces a field of a
    thing, wherever it is: user.email=a@b.c, plan.id=plan_gold.

    \b
    Example:
      flask whop trigger payment.succeeded --set data.user.email=ada@example.com
      flask whop trigger membership.activated --times 100 --concurrent 8 --duplicate
      flask whop trigger payment.failed --bad-signature
      flask whop trigger --scenario refund --set user.email=ada@example.com
    """  # noqa: D301  # click reads the backspace
    if url and local:
        raise click.UsageError("--url names a server, and --in-process needs none; choose one.")
    if scenario and (event_type or source):
        raise click.UsageError("--scenario delivers a whole story; leave out TYPE and --body.")
    installation = Installation.of(current_app)
    secret = _WRONG_SECRET if bad_signature else installation.secret
    signed_at = int(installation.verifier.clock() - age)
    if not 0 < signed_at < _LAST_SECOND:
        raise click.UsageError("--age must end between 1970 and 9999.")
    occasion = Occasion.of(seed, signed_at)
    if scenario:
        bodies = occasion.scenarios(scenario, pin, times, settings)
    elif event_type is None:
        raise click.UsageError("Name the TYPE of an event, or a --scenario.")
    else:
        chosen = _chosen(settings, times)
        bodies = _bodies(event_type, source=source, pin=pin, times=times, chosen=chosen, occasion=occasion)
    types: dict[str, str] = {}
    requests = [_signed(body, secret, signed_at, types) for body in bodies]
    if duplicate:
        requests = [request for request in requests for _ in range(2)]
    if reorder:
        shuffle(requests)
    target = url or f"http://127.0.0.1:5000{installation.path}"
    post = in_process(installation) if local else over_http(target, installation.settings.host)
    with stdout_kept_clean(machine):
        answers = _deliver(requests, post, concurrent, quiet=machine)
    _show(answers, types if scenario else {}, machine=machine)
    refused = bad_signature or abs(age) > installation.settings.tolerance
    if not all(answer.code == 401 if refused else 200 <= answer.code < 300 for answer in answers):  # noqa: PLR2004  # HTTP's
        raise SystemExit(1)


def _new_id() -> str:
    return f"msg_{uuid4().hex[:20]}"


def _signed(body: dict[str, JsonValue], secret: str, signed_at: int, types: dict[str, str]) -> SignedRequest:
    types[str(body["id"])] = str(body["type"])
    return signed(body, secret, timestamp=signed_at)


def _chosen(settings: Sequence[str], times: int) -> dict[str, JsonValue]:
    """Read the values of --set by their paths."""
    chosen: dict[str, JsonValue] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise click.UsageError(f"--set takes PATH=VALUE, such as data.user.email=a@b.c; it got {setting!r}.")
        chosen[path] = str(value_of(text)) if path == "id" else value_of(text)
    if not ID.fullmatch(str(chosen.get("id", "msg_1"))):
        raise click.UsageError("--set id= takes an id as Whop's: up to 255 letters, digits, _ and -.")
    if "id" in chosen and times > 1:
        raise click.UsageError("--set id= is the id of one event, and --times asks for several; see --duplicate.")
    return chosen


def _bodies(  # noqa: PLR0913  # one for each option
    event_type: str,
    *,
    source: str | None,
    pin: str | None,
    times: int,
    chosen: Mapping[str, JsonValue],
    occasion: Occasion,
) -> Iterator[dict[str, JsonValue]]:
    if source is None:
        bodies = occasion.samples(event_type, pin, times)
    else:
        refuse_pattern(event_type)
        given = _read(source, event_type)
        bodies = ({**deepcopy(given), "id": _new_id()} for _ in range(times))
    for body in bodies:
        fill(body, chosen)
        yield body


def _read(source: str, event_type: str) -> dict[str, JsonValue]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        body = json.loads(text)
    except OSError as error:
        raise fault(f"{source} can't be read: {error.strerror}.") from None
    except ValueError as error:
        raise fault(f"{source} isn't JSON: {error}.") from None
    if not isinstance(body, dict):
        raise fault(f"{source} must hold a JSON object, as every body from Whop does.")
    body.setdefault("type", event_type)
    return body


def _deliver(requests: Sequence[SignedRequest], post: Post, concurrent: int, *, quiet: bool) -> list[Answer]:
    with ThreadPoolExecutor(concurrent) as pool:
        futures = [pool.submit(send, request, post) for request in requests]
        hidden = quiet or len(requests) < _PROGRESS_FROM
        with click.progressbar(
            as_completed(futures), length=len(futures), label="Delivering", file=sys.stderr, hidden=hidden
        ) as progress:
            for future in progress:
                future.exception()
        try:
            return [future.result() for future in futures]
        except ConnectionError as error:
            raise fault(f"{error} With --in-process no server is needed.") from None


def _show(answers: Sequence[Answer], types: Mapping[str, str], *, machine: bool) -> None:
    """Print the answers; ``types`` has the events, by delivery, if there are several."""
    if machine:
        events = [{"event": types[answer.delivery_id]} if types else {} for answer in answers]
        as_json([{**event, **answer._asdict()} for event, answer in zip(events, answers, strict=True)])
        return
    headings: Sequence[str] = ("code", "status", "ms", "id")
    rows: Sequence[Sequence[object]] = [
        (answer.code, answer.status, f"{answer.milliseconds:.1f}", answer.delivery_id) for answer in answers
    ]
    if types:
        headings = ("event", *headings)
        rows = [(types[answer.delivery_id], *row) for answer, row in zip(answers, rows, strict=True)]
    table(headings, rows[:_MOST_SHOWN])
    if len(rows) > _MOST_SHOWN:
        counts = sorted(Counter((answer.code, answer.status) for answer in answers).items())
        total = ", ".join(f"{counted(count, 'time')} {code} {shown(status)}" for (code, status), count in counts)
        click.echo(f"… and {len(rows) - _MOST_SHOWN} more. In all: {styled(total, 'green')}.")
