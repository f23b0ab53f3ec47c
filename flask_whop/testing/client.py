"""Delivers to an app as Whop does: the main part of the test kit."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, cast, overload
from uuid import uuid4

from flask import Flask

from flask_whop.engine import Outcome
from flask_whop.engine.installation import Installation
from flask_whop.engine.worker import run_due
from flask_whop.errors import CheckFailed, Rejected, SetupError
from flask_whop.events import AnyEvent, UnknownEvent, parse_event
from flask_whop.events.fields import fill
from flask_whop.events.samples.facts import iso
from flask_whop.events.samples.scenarios import played, types_of
from flask_whop.signature import SignedRequest, signed
from flask_whop.testing.answers import Answer, status_of
from flask_whop.testing.bodies import body_of
from flask_whop.testing.clock import Duration, FakeClock, seconds
from flask_whop.testing.customers import Customers
from flask_whop.testing.expectations import Expectations
from flask_whop.testing.isolation import isolated_signals
from flask_whop.testing.listener import Listener

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from flask_whop.events.samples.facts import Facts

E = TypeVar("E", bound=AnyEvent)

_EXPECTED: Final = "If the test expects this, use check=False: then the answer is returned."


class _How(TypedDict, total=False):
    data: Mapping[str, object] | None
    pin: str | None
    id: str | None
    envelope: Mapping[str, object] | None
    secret: str | None
    age: Duration
    check: bool


class WhopTestClient(Expectations):
    """Delivers events to an app as Whop does, and reports what became of them.

    Each delivery goes through the app's own endpoint, signed with its first secret;
    nothing is stubbed. With pytest, use the fixture ``whop``. Without::

        with WhopTestClient(app) as whop:
            whop.deliver("payment.succeeded")

    Until :meth:`close` (or the end of the block), the app uses :attr:`clock`. At the
    end, receivers connected meanwhile, for all apps or for this one, are disconnected;
    see :func:`~flask_whop.testing.isolated_signals`.

    Raises :class:`~flask_whop.errors.SetupError` if flask_whop isn't set up for
    ``app``.
    """

    def __init__(self, app: Flask, *, clock: FakeClock | None = None) -> None:
        super().__init__(Listener())
        self.app = app
        self.clock: FakeClock = clock or FakeClock()
        """The clock that both the app and Whop use."""
        self.answers: list[Answer[AnyEvent]] = []
        """All answers, in the order of the deliveries."""
        self._customers = Customers()
        with ExitStack() as until_closed:
            until_closed.enter_context(isolated_signals(app))
            until_closed.enter_context(self.clock.installed_in(app))
            self._listener.listen_to(app)
            self._until_closed = until_closed.pop_all()

    @overload
    def deliver(self, event: type[E], /, **how: Unpack[_How]) -> Answer[E]: ...
    @overload
    def deliver(self, event: str | Mapping[str, object], /, **how: Unpack[_How]) -> Answer[AnyEvent]: ...
    def deliver(  # noqa: PLR0913  # what a delivery is made of, each by name
        self,
        event: type[AnyEvent] | str | Mapping[str, object],
        /,
        *,
        data: Mapping[str, object] | None = None,
        pin: str | None = None,
        id: str | None = None,  # noqa: A002  # the field's name in what Whop sends
        envelope: Mapping[str, object] | None = None,
        secret: str | None = None,
        age: Duration = 0,
        check: bool = True,
    ) -> Answer[Any]:
        """Deliver an event, by its class or its name, and return the answer.

        The body is a sample of the event for a webhook with that ``pin``, happening now
        by :attr:`clock`. Events of different types are about the same customer, and those
        of one type each about another. Instead of a name, ``event`` may be a whole body,
        such as a :func:`~flask_whop.testing.recorded` one.

        ``data`` sets fields of the payload, by name or by path (``"user.email"``); an
        object is merged into the one that is there, and anything else replaces what is
        there. ``envelope`` sets those around it (``timestamp``, ``company_id``,
        ``previous_attributes``). ``id`` is the id of both event and delivery, by
        default a new one; the id of the payment or the membership is ``data``'s. ``secret``
        signs instead of the app's first one, ``age`` earlier.

        Raises :class:`~flask_whop.errors.CheckFailed` if it isn't answered 2xx or a
        receiver fails, unless ``check`` is false, and always for a field that the payload
        doesn't have. Raises :class:`~flask_whop.errors.UnknownEventError` if no event has
        this name.
        """
        __tracebackhide__ = True
        event_id, now = id or f"msg_{uuid4().hex}", self.clock.now()
        body = body_of(event, data, pin, lambda event_type: self._customers.of(event_type, event_id), now)
        fill(body, {"id": event_id, "timestamp": iso(now), **(envelope or {})})
        return self.send(body, secret=secret, age=age, check=check)

    def play(
        self,
        scenario: str,
        /,
        *,
        about: Mapping[str, Mapping[str, object]] | None = None,
        pin: str | None = None,
        check: bool = True,
    ) -> list[Answer[AnyEvent]]:
        """Deliver the events of a scenario, in Whop's order, and return the answers.

        They tell one story: ``purchase``, ``trial``, ``renewal-failed``, ``refund``,
        ``dispute``, ``identity`` or ``churn``, about the same person, membership and
        payment from the first to the last. :attr:`clock` moves on as the story does.
        ``about`` replaces fields of its things, wherever they are and in the shape of the
        ``pin``: ``{"user": {"email": "grace@example.com"}, "plan": {"id": "plan_gold"}}``.
        For the rest, see :meth:`deliver`.

        Raises :class:`~flask_whop.errors.CheckFailed` if no scenario has this name, or
        nothing in it has such a field.
        """
        __tracebackhide__ = True
        began, customer = self.clock.now(), self._customers.next(types_of(scenario))
        answers = []
        for after, body in played(scenario, pin, customer, began, cast("Facts", about or {})):
            self.clock.set_to(began + after)
            answers.append(self.send({**body, "id": f"msg_{uuid4().hex}"}, check=check))
        return answers

    def send(
        self,
        body: Mapping[str, object] | bytes,
        *,
        id: str | None = None,  # noqa: A002  # the field's name in what Whop sends
        secret: str | None = None,
        age: Duration = 0,
        check: bool = True,
    ) -> Answer[AnyEvent]:
        """Deliver a whole body, whatever it is, and return the answer.

        ``id`` is the ``webhook-id``; the default is the ``id`` of a mapping, or a new
        one. For the rest, see :meth:`deliver`.
        """
        __tracebackhide__ = True
        request = signed(
            body,
            secret or Installation.of(self.app).secret,
            delivery_id=id,
            timestamp=int(self.clock() - seconds(age)),
        )
        answer = self._post(request)
        self.answers.append(answer)
        if check and not answer.ok:
            raise CheckFailed(f"{answer.story()}\n{_EXPECTED}") from _cause(answer)
        return answer

    def redeliver(self, answer: Answer[E] | None = None, /, *, check: bool = True) -> Answer[E]:
        """Repeat the delivery that ``answer`` answered, by default the last one, and return the new answer.

        The ``webhook-id`` and the body are the same and the signature is new, as in
        Whop's retries and duplicates. For ``check``, see :meth:`deliver`.

        Raises :class:`~flask_whop.errors.SetupError` if nothing has been delivered.
        """
        __tracebackhide__ = True
        if answer is None and not self.answers:
            raise SetupError("Nothing has been delivered yet, so nothing can be redelivered; call deliver() first.")
        again = answer or self.answers[-1]
        return cast("Answer[E]", self.send(again.body, id=again.delivery_id, check=check))

    def work(self) -> list[Outcome]:
        """Run what is due, as a worker would, and return the outcomes.

        For an app that answers before its receivers run (``WHOP_DISPATCH``).
        """
        return run_due(self.app)

    def clear(self) -> None:
        """Forget the answers, and what was captured, failed and rejected; the app's store keeps everything."""
        self.answers.clear()
        self._listener.clear()

    def close(self) -> None:
        """Restore the app's own clock, and leave the signals as they were found."""
        self._until_closed.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the client."""
        self.close()

    def __repr__(self) -> str:
        """Show how much was delivered, and how much of it reached the app."""
        return f"<WhopTestClient of {self.app.name}: {len(self.answers)} delivered, {len(self.captured)} captured>"

    def _post(self, request: SignedRequest) -> Answer[AnyEvent]:
        failed, rejected = len(self._listener.failures), len(self._listener.rejections)
        response = Installation.of(self.app).post(request)
        delivery_id = request["headers"]["webhook-id"]
        event = _read(request["data"], delivery_id)
        failures = (failure for failure in self._listener.failures[failed:] if failure.event.id == event.id)
        rejections = self._listener.rejections[rejected:]
        return Answer(
            status_code=response.status_code,
            status=status_of(response),
            event=self._listener.events.get(event.id, event),
            failures=tuple(failures),
            rejection=next((each for each in rejections if each.delivery_id in (None, delivery_id)), None),
            delivery_id=delivery_id,
            body=request["data"],
            response=response,
        )


def _read(body: bytes, delivery_id: str) -> AnyEvent:
    try:
        return parse_event(body, delivery_id)
    except Rejected:
        return UnknownEvent({}, body, delivery_id)


def _cause(answer: Answer[AnyEvent]) -> Exception | None:
    return answer.failures[0].error if answer.failures else answer.rejection
