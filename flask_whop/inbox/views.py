"""The pages of the inbox."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flask import Response, abort, redirect, request, url_for
from werkzeug.exceptions import HTTPException

from flask_whop.doctor.checkup.receivers import receivers_by_event
from flask_whop.doctor.diagnosis.mistakes import Mistake
from flask_whop.engine.deliveries import Deliveries, Details
from flask_whop.engine.health import health_of
from flask_whop.errors import FlaskWhopError, NotReplayable, Reason, StoreUnavailable
from flask_whop.inbox import charts, words
from flask_whop.inbox.filters import GROUPS, PER_PAGE, Filters
from flask_whop.inbox.payloads import pretty, tree_of
from flask_whop.inbox.sending import Form
from flask_whop.logs import facts, log
from flask_whop.signals import EVENT_SIGNALS
from flask_whop.stores import Origin, State, Stats, Stored

if TYPE_CHECKING:
    from jinja2 import Environment
    from werkzeug.wrappers import Response as AnyResponse

    from flask_whop.engine.activity import Recorder
    from flask_whop.engine.installation import Installation
    from flask_whop.inbox.access import Access

_PAGES: Final = ((".deliveries", "Deliveries"), (".health", "Health"), (".form", "Send"))
_CURRENT: Final = {"deliveries": ".deliveries", "health": ".health", "form": ".form", "send": ".form"}
_TYPES: Final = (
    *sorted({f"{name.rpartition('.')[0]}.*" for name in EVENT_SIGNALS}),
    *EVENT_SIGNALS,
)
_HOURS: Final = {"day": 24, "week": 168}
_RELATED: Final = 10
_COUNT_EVERY: Final = 2.0
_SHARE: Final = 20.0

# Those that this release knows: another one may have counted others.
_REASONS: Final = {reason.value: reason for reason in Reason}
_FINDINGS: Final = {mistake.value: mistake.in_general() for mistake in Mistake}
_REPLAYED: Final = {
    "processed": ("good", "Replayed: every receiver is done with it."),
    "unhandled": ("good", "Replayed, but no receiver of this app handles it."),
    "duplicate": ("good", "There was nothing left to run: every receiver had finished."),
    "accepted": ("good", "It's due now, and a worker runs it."),
    "failed": ("bad", "Replayed, and a receiver failed again."),
    "retry_later": ("wait", "Replayed. A receiver isn't done, and is called again later."),
    "dead": ("bad", "Replayed, and a receiver is still out of retries."),
    "running": ("wait", "It's being run elsewhere at this moment."),
    "taken": ("wait", "A worker has taken it over."),
    "refused": ("bad", "It can't be replayed: it's running now, its payload is gone, or the receiver has finished it."),
}
"""What is said after a replay, by the word in the address."""


class Pages:
    """The views of one app's inbox."""

    def __init__(
        self, installation: Installation, access: Access, recorder: Recorder, environment: Environment
    ) -> None:
        self._installation = installation
        self._deliveries = Deliveries(installation)
        self._access = access
        self._recorder = recorder
        self._environment = environment
        self._counted: Stats | None = None
        self._count_again_at = 0.0

    # The list.

    def deliveries(self) -> str:
        """Show the list."""
        return self._render(
            "deliveries.html",
            **self._list(Filters.read(request.args)),
            types=_TYPES,
            receipts={state.value: word for state, word in words.RECEIPTS.items()},
            receivers=list(self._receivers()),
        )

    def live(self) -> Response:
        """Answer what the list shows now, for the script, which asks every few seconds."""
        response = Response(self._render("_list.html", **self._list(Filters.read(request.args))))
        response.add_etag()
        response.make_conditional(request)
        return response

    def _list(self, filters: Filters) -> dict[str, object]:
        try:
            page, mistake = filters.find(self._deliveries), None
        except ValueError as error:  # a ConfigError is one, too
            page, mistake = None, str(error) if isinstance(error, FlaskWhopError) else "A filter can't be read."
        return {
            "filters": filters,
            "troubles": self._deliveries.troubles(page.deliveries) if page is not None else {},
            "groups": GROUPS,
            "page": page,
            "mistake": mistake,
            "per_page": PER_PAGE,
            "stats": self._stats(),
        }

    def _stats(self) -> Stats:
        """Count what is unfinished, but not at each request: it takes longer the more that is."""
        started = time.monotonic()
        if self._counted is None or started >= self._count_again_at:
            self._counted = self._deliveries.stats()
            self._count_again_at = time.monotonic() + max(_COUNT_EVERY, _SHARE * (time.monotonic() - started))
        return self._counted

    # One delivery.

    def delivery(self, delivery_id: str) -> str:
        """Show one delivery: what happened to it, and on demand its payload."""
        details = self._get(delivery_id)
        wanted = request.args.get("payload", "")
        if wanted and details.body is not None:
            log.info(
                "The payload of delivery %s was looked at in the inbox.", delivery_id, extra=facts(delivery=delivery_id)
            )
        return self._render(
            "delivery.html",
            details=details,
            delivery=details.delivery,
            previews=self._deliveries.preview(details),
            may_replay=self._access.may_replay(),
            retry=_retry_of(details.delivery),
            tree=tree_of(details.body) if wanted == "tree" and details.body is not None else None,
            text=pretty(details.body.decode()) if wanted == "json" and details.body is not None else None,
            related=(related := self._related(details)),
            troubles=self._deliveries.troubles(related),
            said=_REPLAYED.get(request.args.get("said", "")),
            meanings=words.MEANINGS,
            receipts=words.RECEIPTS,
            is_pulled=details.delivery.origin is Origin.PULLED,
            is_erased=details.delivery.origin is Origin.ERASED,
        )

    def _related(self, details: Details) -> list[Stored]:
        resource = details.delivery.resource
        if resource is None:
            return []
        found = self._deliveries.find(resource=resource, limit=_RELATED + 1).deliveries
        return [other for other in found if other.key != details.delivery.key][:_RELATED]

    def replay(self, delivery_id: str) -> AnyResponse:
        """Run a delivery again, for all receivers that haven't finished it, or for one."""
        self._get(delivery_id)
        receivers = request.form.getlist("receiver")
        try:
            outcome = self._deliveries.replay(
                delivery_id, receivers, force=bool(receivers and request.form.get("force"))
            )
            said = "taken" if outcome is None else outcome.status.value
        except NotReplayable:
            said = "refused"
        log.info(
            "Delivery %s was replayed in the inbox: %s",
            delivery_id,
            said,
            extra=facts(delivery=delivery_id, outcome=said),
        )
        return redirect(url_for(".delivery", delivery_id=delivery_id, said=said), 303)

    # Health.

    def health(self) -> str:
        """Show whether all is well, and what happened lately."""
        self._recorder.flush()
        span = request.args.get("span", "day")
        activity = self._deliveries.activity(_HOURS.get(span, _HOURS["day"]))
        events = self._receivers()
        return self._render(
            "health.html",
            health=health_of(self._installation),
            stats=self._stats(),
            span=span if span in _HOURS else "day",
            activity=activity,
            chart=charts.bars(activity.hours),
            receivers=events | {name: [] for name in sorted(activity.calls) if name not in events},
            reasons=[(_REASONS[name], count) for name, count in _most_first(activity.rejections) if name in _REASONS],
            findings=[_FINDINGS[name] for name in activity.diagnoses if name in _FINDINGS],
            unhandled=_most_first(activity.unhandled),
        )

    def _receivers(self) -> dict[str, list[str]]:
        """The events that each receiver of the app listens to."""
        events: dict[str, list[str]] = {}
        for event, names in receivers_by_event(self._installation.app).items():
            for name in names:
                events.setdefault(name, []).append("unknown ones" if event == "*" else event)
        return events

    # Sending, in debug mode.

    def form(self) -> str:
        """Show the form that sends an event."""
        return self._sending(Form(request.args.get("type", ""), request.args.get("pin", "")))

    def send(self) -> str:
        """Send the event of the form to the app, as Whop would, and show the answer."""
        return self._sending(Form(request.form.get("type", ""), request.form.get("pin", ""), request.form), send=True)

    def _sending(self, form: Form, *, send: bool = False) -> str:
        if not self._installation.app.debug:
            abort(404, "Events are sent in debug mode alone.")
        answer = form.send(self._installation) if send else None
        return self._render("send.html", form=form, answer=answer, types=list(EVENT_SIGNALS))

    # All of them.

    def refused(self, error: HTTPException | StoreUnavailable) -> tuple[str, int]:
        """Say why there is no page."""
        if isinstance(error, StoreUnavailable):
            log.warning("The inbox can't reach the store: %s", error)
            return self._render(
                "message.html", title="The store can't be reached", text="Deliveries are answered 503 until it can."
            ), 503
        return self._render("message.html", title=error.name, text=error.description), error.code or 404

    def _get(self, delivery_id: str) -> Details:
        details = self._deliveries.get(delivery_id)
        if details is None:
            abort(404, "There is no such delivery. It may have been deleted: they're kept for WHOP_KEEP_DAYS.")
        return details

    def _render(self, template: str, **values: object) -> str:
        app = self._installation.app
        return self._environment.get_template(template).render(
            url_for=url_for,
            pages=_PAGES if app.debug else _PAGES[:-1],
            current=_CURRENT.get((request.endpoint or "").rpartition(".")[2]),
            app_name=app.name,
            debug=app.debug,
            version=_version(),
            **values,
        )


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _retry_of(delivery: Stored) -> str:
    if delivery.state is State.DONE:
        return "none needed"
    if delivery.state is State.DEAD:
        return "none, unless somebody replays it"
    return "ours" if delivery.owned and delivery.state is not State.FAILED else "Whop's"


@cache
def _version() -> str:
    """What changes the address of the style and the script when they change."""
    files = sorted((Path(__file__).parent / "static").iterdir())
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
