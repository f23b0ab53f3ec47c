"""Fetches what was missed from Whop's delivery log, and runs it through the engine's own door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from flask_whop import signals
from flask_whop.config import Mode
from flask_whop.engine import Status
from flask_whop.engine.dispatch import dispatcher
from flask_whop.engine.retries import DAY
from flask_whop.errors import ApiError, Rejected, SetupError
from flask_whop.logs import log
from flask_whop.reconcile.backlog import Backlog, Missed, Seen, Span
from flask_whop.signature import Delivery
from flask_whop.stores import Key, MemoryStore

if TYPE_CHECKING:
    from flask_whop.api.client import WhopApi
    from flask_whop.api.records import LoggedAttempt, Webhook
    from flask_whop.engine.installation import Installation

LOG_DAYS: Final = 30
"""How far back Whop's delivery log goes."""

FIRST_LOOK: Final = 3 * DAY
"""How far back the first pull of a webhook looks: as long as Whop retries."""

TAKEN: Final = "taken by another process"
"""What became of a delivery that is running elsewhere."""

_OVERLAP: Final = 3600.0
_DUE_AT_ONCE: Final = 100
_STATUSES: Final = frozenset(status.value for status in Status)


class Pull:
    """One pull of one webhook's log.

    Bodies are Whop's JSON written again: the values are those that were sent, and the
    bytes aren't those that were signed. What vouches for them is the API's own channel.
    Whop's own retries may be over, so what was pulled is owned: its retry is ours. Where
    receivers run before the answer and no worker need be there, the next pull runs it.
    """

    def __init__(  # noqa: PLR0913  # what a pull is made of
        self,
        installation: Installation,
        api: WhopApi,
        webhook: Webhook,
        span: Span,
        *,
        progress: Callable[[LoggedAttempt], object] = lambda _attempt: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.webhook = webhook
        self._installation = installation
        self._engine = installation.engine
        self._span = span
        log_until_stopped = takewhile(lambda _attempt: not stopping(), api.log(webhook.id))
        self._backlog = Backlog(log_until_stopped, installation.engine, span, progress)
        self._is_inline = installation.settings.dispatch is Mode.INLINE
        self._dispatch = dispatcher(installation)

    @property
    def seen(self) -> Seen:
        """What has been seen in the log."""
        return self._backlog.seen

    def missed(self) -> Iterator[list[Missed]]:
        """Yield what isn't finished here: see :meth:`Backlog.parts <flask_whop.reconcile.backlog.Backlog.parts>`."""
        return self._backlog.parts()

    def run(self, missed: Missed) -> str:
        """Run a delivery as if it had arrived; return what became of it, by the values of ``Status``, or why not.

        Raises :class:`~flask_whop.errors.StoreUnavailable`.
        """
        with self._installation.app.app_context():
            try:
                status = self._take_over(missed) if missed.body is None else self._accept(missed, missed.body)
            except Rejected as rejection:
                return f"rejected: {rejection.reason.value}"
        return TAKEN if status is None else status.value

    def _take_over(self, missed: Missed) -> Status | None:
        outcome = self._engine.take_over(Key(self._engine.endpoint, missed.id))
        return None if outcome is None else outcome.status

    def _accept(self, missed: Missed, body: bytes) -> Status | None:
        delivery = Delivery(missed.id, int(missed.sent_at), body, None)
        if not self._is_inline:
            dispatched = self._dispatch(delivery)
            if dispatched.afterwards is not None:
                dispatched.afterwards()
            return dispatched.outcome.status
        outcome, run = self._engine.accept_and_hold(delivery)
        if run is None:
            return outcome.status
        ended = run()
        return None if ended is None else ended.status

    def run_due(self) -> Iterator[str]:
        """Run what an earlier pull left due, if no worker need be there to do so; yield what became of each."""
        while self._is_inline and (due := self._engine.store.due(self._engine.endpoint, _DUE_AT_ONCE)):
            for delivery in due:
                with self._installation.app.app_context():
                    outcome = self._engine.run(delivery.key)
                yield TAKEN if outcome is None else outcome.status.value

    def finish(self, results: Counter[str], *, began: float) -> int:
        """Note how far the log has been pulled, tell whoever listens how many deliveries were missed, and return it."""
        # Neither what another process is running, nor what this app doesn't take.
        found = sum(count for result, count in results.items() if result in _STATUSES)
        if self._span.gapless:
            self._engine.store.put_note(self._engine.endpoint, _note_of(self.webhook), began)
        self._engine.notify(signals.deliveries_pulled, webhook_id=self.webhook.id, found=found)
        return found


def span_of(
    installation: Installation,
    webhook: Webhook,
    since: float | None,
    *,
    forced: bool = False,
    all: bool = False,  # noqa: A002  # the option's name
) -> Span:
    """Return which part of a webhook's log to pull.

    ``since`` is in unix seconds; without it, it's an hour before the last pull, or three
    days back. Raises :class:`~flask_whop.errors.SetupError` for a store in memory, which
    can't tell what has run before this process, and
    :class:`~flask_whop.errors.StoreUnavailable`.
    """
    engine, store = installation.engine, installation.store
    if isinstance(store, MemoryStore) and not installation.app.testing:
        raise SetupError(
            "The store is memory://, which doesn't know what ran before this process: nothing can be pulled without"
            " running it twice. Set WHOP_STORE to a file or a database."
        )
    now = store.clock()
    last = store.note(engine.endpoint, _note_of(webhook))
    pulled_until = now - FIRST_LOOK if last is None else last
    if since is None:
        since = pulled_until if last is None else pulled_until - _OVERLAP
    remembered = max(engine.retention.remembers_since(), now - installation.settings.keep_days * DAY)
    return Span(max(0.0, since), remembered, forced, all, gapless=since <= pulled_until)


def pull_all(
    installation: Installation,
    api: WhopApi,
    webhooks: Sequence[Webhook],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Pull what the webhooks' logs have had since the last pull, and run it; count what became of it.

    Once ``stopping`` returns true, nothing more is run; the next pull begins where this one
    did. A webhook whose log can't be read doesn't keep the others from it.

    Raises :class:`~flask_whop.errors.ApiError` in the end,
    :class:`~flask_whop.errors.SetupError` and
    :class:`~flask_whop.errors.StoreUnavailable`.
    """
    total: Counter[str] = Counter()
    failed: ApiError | None = None
    for webhook in webhooks:
        try:
            total += _pull_one(installation, api, webhook, stopping)
        except ApiError as error:
            log.warning("The log of %s couldn't be pulled: %s", webhook.id, error)
            failed = error
    if failed is not None:
        raise failed
    return total


def _pull_one(installation: Installation, api: WhopApi, webhook: Webhook, stopping: Callable[[], bool]) -> Counter[str]:
    counts: Counter[str] = Counter()
    began = installation.store.clock()
    pull = Pull(installation, api, webhook, span_of(installation, webhook, None), stopping=stopping)
    for part in pull.missed():
        for missed in part:
            if stopping():
                return counts
            counts[pull.run(missed)] += 1
    if stopping():
        return counts  # perhaps before the end of the log
    if found := pull.finish(counts, began=began):
        extra = {"whop_webhook": webhook.id, "whop_found": found}
        log.warning("Pulled from %s what hadn't arrived or wasn't finished: %d.", webhook.id, found, extra=extra)
    for _ in pull.run_due():
        if stopping():
            break
    return counts


def _note_of(webhook: Webhook) -> str:
    return f"pulled {webhook.id}"
